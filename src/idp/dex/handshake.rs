//! Why did the server hang up? A TLS handshake of our own that waits for the server's verdict.
//!
//! With TLS 1.3 a client is done before the server has looked at its certificate: a refusal arrives as an alert on a
//! connection that seemed fine. HTTP/2 libraries report that as a broken pipe and drop the alert. A client certificate
//! that Dex does not accept is the most likely mistake of all, so it is worth a second look: connect again, send
//! nothing, and read until the server says something.

use std::{io, sync::Arc};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use secrecy::ExposeSecret as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    domain::{CaBundle, IdpError},
    idp::{ClientIdentity, http::tls_configuration},
};

/// TLS as the channel does it, with a CA that was given.
///
/// # Errors
/// [`IdpErrorKind::Tls`](crate::domain::IdpErrorKind::Tls), telling which of the parts cannot be used.
pub(super) fn client_config(ca: &CaBundle, identity: Option<&ClientIdentity>) -> Result<ClientConfig, IdpError> {
    let mut roots = RootCertStore::empty();
    for certificate in ca.certificates() {
        roots
            .add(CertificateDer::from(certificate.der.as_slice()).into_owned())
            .map_err(|_| {
                tls_configuration(format!(
                    "the CA certificate {} cannot be used as a trust anchor",
                    certificate.subject
                ))
            })?;
    }
    let builder = ClientConfig::builder().with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            // The errors of the parsers are dropped: they may quote what they read.
            let chain: Vec<_> = CertificateDer::pem_slice_iter(identity.certificate.as_bytes())
                .collect::<Result<_, _>>()
                .ok()
                .filter(|chain: &Vec<_>| !chain.is_empty())
                .ok_or_else(|| tls_configuration("the client certificate is not PEM"))?;
            let key = PrivateKeyDer::from_pem_slice(identity.key.expose_secret().as_bytes())
                .map_err(|_| tls_configuration("the key of the client certificate is not PEM"))?;
            builder.with_client_auth_cert(chain, key).map_err(|error| {
                tls_configuration(match error {
                    rustls::Error::InconsistentKeys(_) => "the client certificate and its key do not belong together",
                    _ => "the client certificate or its key is damaged, or of a kind that TLS cannot use",
                })
            })?
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// Shakes hands with `host:port`; `Err` carries the reason, somewhere inside, where there is one. The caller bounds the
/// time: a server that is content but waits for us to speak first is never done.
pub(super) async fn verdict(config: Arc<ClientConfig>, address: &str) -> io::Result<()> {
    let host = address
        .rsplit_once(':')
        .map_or(address, |(host, _)| host)
        .trim_matches(['[', ']']);
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let mut connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
    let mut stream = TcpStream::connect(address).await?;
    let (mut received, mut outgoing) = (vec![0_u8; 16 << 10], Vec::new());
    loop {
        while connection.wants_write() {
            connection.write_tls(&mut outgoing)?;
        }
        stream.write_all(&outgoing).await?;
        outgoing.clear();
        let length = stream.read(&mut received).await?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut unread = received.get(..length).unwrap_or_default();
        while !unread.is_empty() {
            connection.read_tls(&mut unread)?;
            let state = connection.process_new_packets().map_err(io::Error::other)?;
            // HTTP/2 servers speak first (SETTINGS): we are welcome.
            if state.plaintext_bytes_to_read() > 0 {
                return Ok(());
            }
        }
    }
}
