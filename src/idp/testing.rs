//! A real server on loopback for unit tests, TLS or plain, on threads of its own.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::{
    RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    server::WebPkiClientVerifier,
};

use super::Transport;

/// A CA and what it signs.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        Self::with(name, |_| {})
    }

    /// One that is not as it should be.
    pub(crate) fn with(name: &str, adjust: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        adjust(&mut params);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for `names`; `adjust` makes it a bad one.
    pub(super) fn sign(&self, names: &[&str], adjust: impl FnOnce(&mut CertificateParams)) -> (String, KeyPair) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        adjust(&mut params);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key)
    }

    /// TLS for a server that has such a certificate.
    pub(super) fn server(&self, names: &[&str], adjust: impl FnOnce(&mut CertificateParams)) -> Arc<ServerConfig> {
        let (pem, key) = self.sign(names, adjust);
        Arc::new(server_config(&pem, &key, None))
    }

    /// The same, for a server that wants client certificates of this CA, too.
    pub(super) fn mutual_server(&self, names: &[&str], alpn: &[u8]) -> Arc<ServerConfig> {
        let (pem, key) = self.sign(names, |_| {});
        let mut config = server_config(&pem, &key, Some(self));
        config.alpn_protocols = vec![alpn.to_vec()];
        Arc::new(config)
    }
}

fn server_config(pem: &str, key: &KeyPair, client_ca: Option<&Authority>) -> ServerConfig {
    crypto();
    let builder = ServerConfig::builder();
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let mut roots = RootCertStore::empty();
            roots.add(ca.0.der().clone()).unwrap();
            builder.with_client_cert_verifier(WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap())
        }
    };
    let certificate = crate::domain::CaBundle::parse(pem).unwrap().certificates()[0]
        .der
        .clone();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    builder
        .with_single_cert(vec![CertificateDer::from(certificate)], key)
        .unwrap()
}

/// The process-wide crypto provider, as `main` installs it.
pub(super) fn crypto() {
    // A second installation fails and changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Trusts `ca`, or the system; two seconds.
pub(super) fn transport(ca: Option<&Authority>) -> Transport {
    crypto();
    Transport {
        timeout: Duration::from_secs(2),
        certificate_authority: ca.map(Authority::pem),
        system_roots: false,
        identity: None,
    }
}

/// Serves HTTP/1.1: `answer` turns a request (head and body as one text) into a whole response. Returns the port.
pub(super) fn serve(tls: Option<Arc<ServerConfig>>, answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (tls, answer) = (tls.clone(), answer.clone());
            // What fails here fails at the client too, where the test looks.
            thread::spawn(move || match tls {
                None => exchange(stream, answer.as_ref()),
                Some(config) => {
                    let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
                    exchange_with(&mut stream, answer.as_ref());
                    stream.conn.send_close_notify();
                    let _ = stream.flush();
                }
            });
        }
    });
    port
}

fn exchange(mut stream: TcpStream, answer: &dyn Fn(&str) -> Vec<u8>) {
    exchange_with(&mut stream, answer);
}

fn exchange_with(stream: &mut (impl Read + Write), answer: &dyn Fn(&str) -> Vec<u8>) {
    let mut reader = BufReader::new(stream);
    let mut request = String::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        match reader.read_line(&mut line) {
            Ok(0) => return,
            Ok(_) => {}
            // As real servers do with what is no HTTP.
            Err(_) => {
                let _ = reader.into_inner().write_all(&response("400 Bad Request", ""));
                return;
            }
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        request.push_str(&line);
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    request.push_str(&String::from_utf8_lossy(&body));
    let stream = reader.into_inner();
    let _ = stream.write_all(&answer(&request)).and_then(|()| stream.flush());
}

/// A response with a body.
pub(super) fn response(status: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
