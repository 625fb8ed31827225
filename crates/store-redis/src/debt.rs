//! Batches over several places: checked everywhere first, then done by turns. And what a store on two servers owes.
//!
//! With the part for messages their server is told what the server of the queues has to do, in the same script: the
//! debt. From then on the batch is certain to happen. Once the queues have done it the debt is struck off; where a
//! process died in between, a later sweep pays it: jobs are queued unless they are there, leases are settled unless
//! they have lapsed.

use futures_util::future::{join_all, try_join_all};
use mmsgw_domain::GroupName;
use mmsgw_store::StoreError;

use crate::RedisStore;
use crate::call::{Call, Program};
use crate::commit::Committer;
use crate::plan::{Part, Plan, Which};
use crate::queue::next;
use crate::record::corrupt;

/// What the server of the queues has to do still.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Debt {
    pub(crate) mark: [u8; 16],
    pub(crate) place: String,
    pub(crate) keys: Vec<String>,
    pub(crate) changes: Vec<Vec<u8>>,
}

impl Debt {
    fn of(part: &Part) -> Self {
        let (mark, place) = (part.mark, part.place.clone());
        Self { mark, place, keys: part.keys.clone(), changes: part.changes.clone() }
    }

    /// Place, number of keys, keys and changes, each behind its length.
    fn write(&self) -> Vec<u8> {
        let count = self.keys.len().to_string();
        let words = [self.place.as_bytes(), count.as_bytes()].into_iter();
        let words =
            words.chain(self.keys.iter().map(String::as_bytes)).chain(self.changes.iter().map(Vec::as_slice));
        words.fold(Vec::new(), |mut octets, word| {
            octets.extend_from_slice(&u32::try_from(word.len()).unwrap_or(u32::MAX).to_be_bytes());
            octets.extend_from_slice(word);
            octets
        })
    }

    fn read(mark: [u8; 16], mut octets: &[u8]) -> Option<Self> {
        let mut words = Vec::new();
        while let Some((length, rest)) = octets.split_first_chunk::<4>() {
            let (word, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
            words.push(word.to_vec());
            octets = rest;
        }
        let mut words = words.into_iter();
        let mut text = || String::from_utf8(words.next()?).ok();
        let (place, count) = (text()?, text()?.parse().ok()?);
        let keys = (0_usize..count).map(|_| text()).collect::<Option<_>>()?;
        Some(Self { mark, place, keys, changes: words.collect() })
    }
}

impl RedisStore {
    fn committer(&self, part: &Part) -> &Committer {
        match part.server {
            Which::Messages => &self.messages.committer,
            Which::Queues => &self.queues.committer,
        }
    }

    /// Does what a plan says. Several parts are checked first, all of them; then they are done by turns.
    pub(crate) async fn carry_out(&self, plan: Plan) -> Result<(), StoreError> {
        let now = self.now_argument();
        let Plan { mut parts, refusal, .. } = plan;
        if refusal.is_some() || parts.len() > 1 {
            let checks = parts.iter().map(|part| self.committer(part).check(part, &now));
            let failed = join_all(checks).await.into_iter().collect::<Result<Vec<_>, _>>()?;
            if let Some((_, error)) = failed.into_iter().flatten().min_by_key(|(order, _)| *order) {
                return Err(error);
            }
        }
        if let Some(refusal) = refusal {
            return Err(refusal);
        }
        let debts = write_debts(&mut parts);
        let mut parts = parts.into_iter().peekable();
        while let Some(first) = parts.next() {
            let turn = first.turn;
            let mut together = vec![first];
            while let Some(next) = parts.next_if(|part| part.turn == turn) {
                together.push(next);
            }
            let done =
                try_join_all(together.iter().map(|part| self.committer(part).change(part, &now))).await;
            let is_owed = together[0].server == Which::Queues && !debts.is_empty();
            match done {
                Ok(_) if is_owed => self.strike_off(&debts),
                // The debt is as good as done.
                Err(StoreError::Unavailable(error)) if is_owed => {
                    tracing::warn!(
                        error,
                        "jobs are queued later, when the server of the queues is there again"
                    );
                }
                done => drop(done?),
            }
        }
        Ok(())
    }

    /// Debts that are paid are forgotten; nobody has to wait for that.
    fn strike_off(&self, debts: &[(String, [u8; 16])]) {
        for (place, mark) in debts {
            let (link, key) = (self.messages.link.clone(), format!("{place}:owed"));
            let call = Call::Plain(vec![b"HDEL".to_vec(), key.clone().into_bytes(), mark.to_vec()]);
            tokio::spawn(async move {
                if let Err(error) = link.ask(&key, call).await {
                    tracing::debug!(%error, "a paid debt stays on the list; paying it again changes nothing");
                }
            });
        }
    }

    /// Pays what has been owed for longer than anybody tries by himself.
    pub(crate) async fn pay_debts(&self, groups: &[GroupName]) -> Result<(), StoreError> {
        let patience = (self.queues.settings.timeout.0 + self.messages.settings.timeout.0) * 2;
        let places = match self.messages.together {
            true => vec![self.messages.layout.everything()],
            false => self.messages.places(groups),
        };
        for place in places {
            let words = vec![patience.as_millis().to_string().into_bytes()];
            let now = self.now_argument();
            let owed = self.messages.run(Program::Owed, place.clone(), now, words).await?.list()?;
            let mut owed = owed.into_iter();
            while owed.len() > 0 {
                let (mark, octets) = (next(&mut owed)?.octets()?, next(&mut owed)?.octets()?);
                let mark: [u8; 16] = mark
                    .and_then(|mark| mark.try_into().ok())
                    .ok_or_else(|| corrupt("the mark of a debt has not 16 octets"))?;
                let debt = Debt::read(mark, &octets.unwrap_or_default());
                let debt = debt.ok_or_else(|| corrupt("a debt cannot be read"))?;
                self.queues.committer.make_up(debt, &self.now_argument()).await?;
                tracing::info!("jobs were queued that a process which died had left behind");
                self.strike_off(&[(place.clone(), mark)]);
            }
        }
        Ok(())
    }
}

/// Has the last part on the server of messages write down what is owed to the other one. Gives back where, and the
/// marks.
fn write_debts(parts: &mut [Part]) -> Vec<(String, [u8; 16])> {
    let is_debtor = |part: &Part| part.server == Which::Messages && !part.changes.is_empty();
    let first_owed = parts.iter().position(|part| part.server == Which::Queues && !part.changes.is_empty());
    let Some(first_owed) = first_owed else { return Vec::new() };
    let (before, from) = parts.split_at_mut(first_owed);
    let Some(debtor) = before.iter_mut().rev().find(|part| is_debtor(part)) else { return Vec::new() };
    let owed = from.iter().filter(|part| part.server == Which::Queues && !part.changes.is_empty());
    let mut debts = Vec::new();
    for debt in owed.map(Debt::of) {
        let word = debt.write();
        debtor.changes.extend([b"owe".to_vec(), debtor.place.clone().into_bytes(), debt.mark.to_vec(), word]);
        debts.push((debtor.place.clone(), debt.mark));
    }
    debts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_debt_reads_back() {
        let debt = Debt {
            mark: [7; 16],
            place: "mmsgw:{main/0}".to_owned(),
            keys: vec!["a".to_owned(), String::new()],
            changes: vec![b"enqueue".to_vec(), vec![0, 255], Vec::new()],
        };
        assert_eq!(Debt::read([7; 16], &debt.write()), Some(debt.clone()));
        let cut = &debt.write()[..10];
        assert_eq!(Debt::read([7; 16], cut), None);
    }
}
