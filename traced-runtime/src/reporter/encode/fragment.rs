//! Parts of the JSON that are the same in span after span: what a site says, and who this process is.

use std::ptr;

use super::json;
use crate::model::callsite::Callsite;
use crate::model::endpoint::Endpoint;

/// Sites whose fragments are kept. Two that share a place take turns.
const SITES: usize = 128;

/// A fragment longer than this is not kept.
const LONGEST: usize = 256;

/// Fragments that were encoded before.
pub(super) struct Fragments {
    local: Option<(&'static Endpoint, Vec<u8>)>,
    sites: Vec<Option<(&'static Callsite, Vec<u8>)>>,
}

impl Fragments {
    pub(super) const fn new() -> Self {
        Self { local: None, sites: Vec::new() }
    }

    /// `,"localEndpoint":{…}`, or nothing.
    pub(super) fn local(&mut self, out: &mut Vec<u8>, local: &'static Endpoint) {
        match &self.local {
            Some((known, fragment)) if ptr::eq(*known, local) => out.extend_from_slice(fragment),
            _ => {
                let start = out.len();
                json::local_endpoint(out, local);
                self.local = Some((local, out[start..].to_vec()));
            }
        }
    }

    /// `,"kind":"…","name":"…"`, as the site says.
    pub(super) fn site(&mut self, out: &mut Vec<u8>, site: &'static Callsite) {
        if self.sites.is_empty() {
            self.sites.resize(SITES, None);
        }
        let place = &mut self.sites[ptr::from_ref(site).addr() / align_of::<Callsite>() % SITES];
        match place {
            Some((known, fragment)) if ptr::eq(*known, site) => out.extend_from_slice(fragment),
            _ => {
                let start = out.len();
                json::site(out, site);
                let fragment = &out[start..];
                if fragment.len() <= LONGEST {
                    *place = Some((site, fragment.to_vec()));
                }
            }
        }
    }
}

impl std::fmt::Debug for Fragments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fragments").finish_non_exhaustive()
    }
}
