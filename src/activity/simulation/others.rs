//! What becomes of what others do.

use proptest::test_runner::TestCaseResult;

use super::act::Act;
use super::{Doing, Life};

impl Life {
    /// Somebody else does something.
    pub(super) fn act(&mut self, act: Act) -> TestCaseResult {
        let now = self.world.now;
        let count = self.world.open.len();
        let chosen = |which: usize| (count > 0).then(|| which % count);
        self.world.changed = now;
        let before = self.world.last_use;
        let nothing_else = self.doing == Doing::Serving
            && self.question.is_none()
            && self.recheck.is_none()
            && self.yields.is_none()
            && self.queue.is_empty()
            && self.world.busy_until.is_none()
            && !self.world.away;
        match act {
            Act::Connect(later) => {
                self.came += 1;
                self.queue.push(now + later);
            }
            Act::Up(which) => {
                let open = &mut self.world.open;
                if let Some(seen) = chosen(which).map(|which| &mut open[which]).filter(|seen| !seen.up_ended)
                {
                    seen.last_up = now;
                    self.world.used();
                }
            }
            // A frozen container says nothing.
            Act::Down(which) if !self.world.frozen => {
                let open = &mut self.world.open;
                if let Some(seen) =
                    chosen(which).map(|which| &mut open[which]).filter(|seen| !seen.down_ended)
                {
                    seen.last_down = now;
                    self.world.used();
                }
            }
            Act::UpEnd(which) => {
                if let Some(which) = chosen(which) {
                    self.world.open[which].up_ended = true;
                }
            }
            Act::DownEnd(which) if !self.world.frozen => {
                if let Some(which) = chosen(which) {
                    self.world.open[which].down_ended = true;
                }
            }
            Act::End(which) => {
                if let Some(which) = chosen(which) {
                    let seen = self.world.open.remove(which);
                    self.ended += 1;
                    self.connections_last_use =
                        self.connections_last_use.max(seen.last_up).max(seen.last_down);
                    if self.world.rules.connections_are_use {
                        self.connections_last_use = now;
                        self.world.used();
                    }
                }
            }
            Act::Hold => self.holds_asked += 1,
            Act::Release if self.world.holds > 0 => {
                self.world.holds -= 1;
                self.world.used();
                self.activity.count_use(now);
            }
            Act::Yield if self.doing != Doing::Asleep => self.yields_asked += 1,
            Act::Cpu(percent) => {
                self.world.percent = percent;
                self.world.mind_cpu();
            }
            Act::Reload(rules) => {
                self.world.mind_cpu();
                self.world.reload(rules);
                self.activity.set(rules);
                self.look = now;
            }
            Act::Freeze | Act::Thaw if self.doing == Doing::Serving => {
                self.world.frozen = matches!(act, Act::Freeze);
                self.world.mind_cpu();
                self.recheck = Some(now);
            }
            Act::Away(away) => {
                self.world.away = away;
                self.world.mind_cpu();
                self.recheck = (self.doing == Doing::Serving && !away).then_some(now).or(self.recheck);
            }
            Act::Engine(takes, refuses) => (self.world.takes, self.world.refuses) = (takes, refuses),
            _ => {}
        }
        self.wake_if_asked()?;
        self.let_in();
        self.world.undisturbed = nothing_else && before < self.world.last_use && self.world.last_use == now;
        self.stir()
    }
}
