//! The certificate that a server shows: a TLS handshake in which nothing else is sent.
//!
//! Not taken from the connections that carry requests. Those fail where the certificate is not good, and an admin API's may live
//! for long and show what the server had when they began. Whatever is shown is taken: the date in it is all that is wanted, and
//! it decides nothing but a warning.

use std::{
    io,
    sync::{Arc, OnceLock},
    time::Duration,
};

use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use url::Url;

use crate::domain::{certificate::Validity, pem};

/// How long a handshake may take, name lookup and connecting included.
const DEADLINE: Duration = Duration::from_secs(5);

/// Where a server speaks TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// A name, or an IP address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Address {
    /// Of an https URL; `None` where there is no TLS.
    pub fn of_url(url: &str) -> Option<Self> {
        let url = Url::parse(url).ok().filter(|url| url.scheme() == "https")?;
        Some(Self {
            host: bare(url.host_str()?),
            port: url.port_or_known_default()?,
        })
    }

    /// Of `host:port`.
    pub fn of_pair(pair: &str) -> Option<Self> {
        let (host, port) = pair.rsplit_once(':')?;
        Some(Self {
            host: bare(host),
            port: port.parse().ok()?,
        })
    }
}

fn bare(host: &str) -> String {
    host.trim_matches(['[', ']']).to_owned()
}

/// The certificate that the server shows; `None`: it shows none that can be read, within 5 s.
pub async fn shown(address: &Address) -> Option<Validity> {
    let witness = Arc::new(Witness::default());
    // A server that wants our certificate hangs up after it has shown its own.
    let _ = tokio::time::timeout(DEADLINE, shake_hands(address, witness.clone())).await;
    pem::validity(witness.seen.get()?)
}

/// Believes everything, and remembers it.
#[derive(Debug, Default)]
struct Witness {
    /// In DER.
    seen: OnceLock<Vec<u8>>,
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let _ = self.seen.set(end_entity.to_vec());
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        CryptoProvider::get_default()
            .map(|provider| provider.signature_verification_algorithms.supported_schemes())
            .unwrap_or_default()
    }
}

async fn shake_hands(address: &Address, witness: Arc<Witness>) -> io::Result<()> {
    let mut config = ClientConfig::builder()
        .dangerous()
        .with_custom_certificate_verifier(witness)
        .with_no_client_auth();
    // What gRPC servers insist on, and what all others speak.
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let name = ServerName::try_from(address.host.clone()).map_err(io::Error::other)?;
    let mut connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    let mut stream = TcpStream::connect((address.host.as_str(), address.port)).await?;
    let mut received = vec![0_u8; 16 << 10];
    while connection.is_handshaking() {
        send(&mut connection, &mut stream).await?;
        if !connection.is_handshaking() {
            break;
        }
        let length = stream.read(&mut received).await?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut unread = received.get(..length).unwrap_or_default();
        while !unread.is_empty() {
            connection.read_tls(&mut unread)?;
            connection.process_new_packets().map_err(io::Error::other)?;
        }
    }
    // In order, so that the server has nothing to complain of in its log.
    connection.send_close_notify();
    send(&mut connection, &mut stream).await?;
    stream.shutdown().await
}

async fn send(connection: &mut ClientConnection, stream: &mut TcpStream) -> io::Result<()> {
    let mut outgoing = Vec::new();
    while connection.wants_write() {
        connection.write_tls(&mut outgoing)?;
    }
    stream.write_all(&outgoing).await
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use rcgen::date_time_ymd;

    use super::*;
    use crate::idp::testing::{Authority, crypto, response, serve};

    fn local(port: u16) -> Address {
        Address {
            host: "localhost".to_owned(),
            port,
        }
    }

    #[tokio::test]
    async fn a_certificate_is_seen_whatever_it_is_worth() {
        crypto();
        let server = Authority::new("nobody's").server(&["elsewhere"], |params| {
            params.not_before = date_time_ymd(2019, 1, 1);
            params.not_after = date_time_ymd(2020, 1, 1);
        });
        let port = serve(Some(server), |_| response("200 OK", "{}"));
        let seen = shown(&local(port)).await.unwrap();
        assert_eq!(seen.not_after, "2020-01-01T00:00:00Z".parse().unwrap());
        assert_eq!(seen.not_before, "2019-01-01T00:00:00Z".parse().unwrap());
    }

    #[tokio::test]
    async fn who_shows_none_has_none() {
        crypto();
        let plain = serve(None, |_| response("200 OK", "{}"));
        assert_eq!(shown(&local(plain)).await, None);
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        assert_eq!(shown(&local(closed)).await, None);
    }

    #[test]
    fn addresses_are_found_in_urls_and_pairs() {
        let address = |host: &str, port| {
            Some(Address {
                host: host.to_owned(),
                port,
            })
        };
        assert_eq!(
            Address::of_url("https://sso.example.com/dex"),
            address("sso.example.com", 443)
        );
        assert_eq!(Address::of_url("https://[::1]:8443"), address("::1", 8443));
        assert_eq!(Address::of_url("http://sso.example.com"), None);
        assert_eq!(Address::of_pair("dex:5557"), address("dex", 5557));
        assert_eq!(Address::of_pair("[::1]:5557"), address("::1", 5557));
        assert_eq!(Address::of_pair("dex"), None);
    }
}
