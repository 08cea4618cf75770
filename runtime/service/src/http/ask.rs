//! Who asks, and what the address of a request says.

use std::net::IpAddr;

use hyper::{
    HeaderMap, Uri,
    header::{AUTHORIZATION, HOST},
};
use sha2::{Digest, Sha256};

/// Most fields of a query.
const FIELDS_MAX: usize = 32;

/// The fields of a request's query.
pub fn query(uri: &Uri) -> Vec<(String, String)> {
    let fields = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let fields = fields.take(FIELDS_MAX);
    fields
        .map(|(n, t)| (n.into_owned(), t.into_owned()))
        .collect()
}

/// The word that a request proves itself with: of the header `Authorization: Bearer WORD`, or of `?token=WORD`, for pages
/// and pictures that cannot send headers.
pub fn token(headers: &HeaderMap, query: &[(String, String)]) -> Option<String> {
    let header = headers.get(AUTHORIZATION).and_then(|h| h.to_str().ok());
    let bearer = header.and_then(|h| {
        let (kind, word) = h.split_once(' ')?;
        kind.eq_ignore_ascii_case("bearer")
            .then(|| word.trim().to_owned())
    });
    bearer.or_else(|| {
        let named = query.iter().find(|(n, _)| n == "token");
        named.map(|(_, t)| t.clone())
    })
}

/// Whether a word is the right one. The time that this takes says nothing of how much of it is right.
pub fn is_token(wanted: &str, given: &str) -> bool {
    Sha256::digest(wanted.as_bytes()) == Sha256::digest(given.as_bytes())
}

/// Whether a request is for this machine by one of its own names. A page of another site, whose name was made to lead to
/// loopback, has that site's name here, and gets nothing.
pub fn is_local(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST) else {
        return true; // no browser leaves it out
    };
    let Ok(host) = host.to_str() else {
        return false;
    };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let is_loopback = |ip: IpAddr| ip.is_loopback();
    name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(is_loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: hyper::header::HeaderName, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        headers
    }

    #[test]
    fn words_are_found_where_clients_put_them() {
        let uri: Uri = "/a?x=1&token=a%2Bb%3D&x=2".parse().unwrap();
        let query = query(&uri);
        assert_eq!(query.len(), 3);
        assert_eq!(token(&HeaderMap::new(), &query).as_deref(), Some("a+b="));
        let bearer = headers(AUTHORIZATION, "bearer  w ");
        assert_eq!(token(&bearer, &query).as_deref(), Some("w"));
        let basic = headers(AUTHORIZATION, "Basic dzp3");
        assert_eq!(token(&basic, &[]), None);
        assert!(is_token("abc", "abc") && !is_token("abc", "abd") && !is_token("abc", ""));
    }

    #[test]
    fn pages_of_other_sites_get_nothing() {
        for host in [
            "localhost",
            "LOCALHOST:8080",
            "127.0.0.1:32168",
            "127.9.9.9",
            "[::1]:80",
        ] {
            assert!(is_local(&headers(HOST, host)), "{host}");
        }
        for host in [
            "evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.1:80",
            "[::2]",
            "",
        ] {
            assert!(!is_local(&headers(HOST, host)), "{host}");
        }
    }
}
