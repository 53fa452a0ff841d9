//! Which errors a process may be told of, by what went wrong on its machine until then.

use crate::machine::{Action, Call, ENOSPC, Incident};
use crate::story::{Op, Told};
use dirkv::Code;

/// What went wrong until a call of a process was answered.
pub struct Causes<'a> {
    pub incidents: &'a [Incident],
    /// So many of them before the call began.
    pub before: usize,
    pub process: u64,
}

impl Causes<'_> {
    /// Whether something explains this answer.
    pub fn explain(&self, op: &Op, told: &Told) -> bool {
        match told {
            Told::Nothing(Code::Timeout) if *op == Op::Acquire => true,
            Told::Nothing(code) => self.explain_error(*code),
            // Somebody is there to be told, and nobody can tell.
            Told::Unknown => self.explain_error(Code::Io),
            _ => true,
        }
    }

    /// Whether something explains an error.
    pub fn explain_error(&self, code: Code) -> bool {
        match code {
            Code::Io => self.failed(|_| true) || self.lost() || self.cut_off(),
            Code::NoSpace => self.failed(|errno| errno == ENOSPC),
            Code::Timeout => self.incidents.iter().any(|incident| matches!(incident.action, Action::Stop(_))),
            _ => false,
        }
    }

    fn meanwhile(&self) -> impl Iterator<Item = &Incident> {
        self.incidents[self.before..].iter()
    }

    /// A call of the process failed meanwhile.
    fn failed(&self, is_so: impl Fn(i32) -> bool) -> bool {
        let failed = |incident: &Incident| matches!(incident.action, Action::Fail(errno) if is_so(errno));
        self.meanwhile().any(|incident| incident.who == self.process && failed(incident))
    }

    /// At some time the kernel failed to write back what it had of the log, whoever had written it.
    fn lost(&self) -> bool {
        let lost = |incident: &Incident| incident.action == Action::WriteBack(false);
        self.incidents.iter().any(|incident| lost(incident) || fails(incident, Call::SyncData))
    }

    /// Meanwhile somebody failed to write to the log. Whoever can't write again what others appended seals it off.
    fn cut_off(&self) -> bool {
        self.meanwhile().any(|incident| fails(incident, Call::Write))
    }
}

/// Whether this call fails on a segment.
fn fails(Incident { call, name, action, .. }: &Incident, what: Call) -> bool {
    *call == what && name.starts_with("log-") && matches!(action, Action::Fail(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::EIO;
    use std::slice;

    fn incident(who: u64, call: Call, name: &str, action: Action) -> Incident {
        Incident { who, call, name: name.to_owned(), action }
    }

    /// Whether process 1 may be told of it, by one incident before its call or meanwhile.
    fn explains(incident: Incident, code: Code) -> [bool; 2] {
        [1, 0].map(|before| Causes { incidents: slice::from_ref(&incident), before, process: 1 }.explain_error(code))
    }

    #[test]
    fn a_failing_call_explains_errors_of_its_process_while_it_calls() {
        let failed = |who, errno| incident(who, Call::Rename, "MANIFEST.tmp", Action::Fail(errno));
        assert_eq!(explains(failed(1, EIO), Code::Io), [false, true]);
        assert_eq!(explains(failed(1, EIO), Code::NoSpace), [false, false]);
        assert_eq!(explains(failed(1, ENOSPC), Code::NoSpace), [false, true]);
        assert_eq!(explains(failed(2, EIO), Code::Io), [false, false]);
        assert_eq!(explains(failed(1, EIO), Code::Timeout), [false, false]);
    }

    #[test]
    fn what_the_disk_lost_and_what_was_sealed_off_concerns_all() {
        assert_eq!(explains(incident(2, Call::Read, "log-1", Action::WriteBack(false)), Code::Io), [true, true]);
        assert_eq!(explains(incident(2, Call::Read, "log-1", Action::WriteBack(true)), Code::Io), [false, false]);
        assert_eq!(explains(incident(2, Call::SyncData, "log-1", Action::Fail(EIO)), Code::Io), [true, true]);
        assert_eq!(explains(incident(2, Call::SyncData, "MANIFEST.tmp", Action::Fail(EIO)), Code::Io), [false, false]);
        assert_eq!(explains(incident(2, Call::Write, "log-1", Action::Fail(EIO)), Code::Io), [false, true]);
        assert_eq!(explains(incident(2, Call::Read, "log-1", Action::Kill), Code::Io), [false, false]);
    }
}
