//! What is sent to the service: a prompt as many times as asked, or a race of it.

use super::Panel;
use crate::race::{Contest, Race, Turn};
use crate::service::{Command, Draft, Drafting, Prompt, Settings, Task};
use crate::text::{Message, Role};

/// Tokens of a sequence in a heat, at most: heats that alternate often share what else the machine does.
const RACE_TOKENS: u32 = 64;
/// The same where guesses race: a text repeats nothing before there is some of it.
const GUESSES_TOKENS: u32 = 192;

impl Panel {
    /// Guesses as they are set, or such as pay where nobody guesses, against none.
    pub(super) fn guesses_contest(&self) -> Contest {
        let then = self.live.drafting.clone();
        let drafting = if then.draft == Draft::Off { Drafting::AUTO } else { then.clone() };
        Contest::Guesses { drafting, then }
    }

    /// Sends the prompt, as many times as asked; or has a race of it.
    pub(super) fn send(&mut self, contest: Option<Contest>) {
        let prompt = self.prompt.trim_end_matches(['\n', '\r']).to_owned();
        let race = contest.is_some();
        if prompt.trim().is_empty() && !race {
            return;
        }
        let chat = self.controls.chat && !race;
        let mut turns = Vec::new();
        for entry in self.live.entries.iter().filter(|entry| chat && entry.chat) {
            turns.push(Message::new(Role::User, &entry.prompt));
            let answer = entry.sequences.first().and_then(|name| self.live.sequences.get(&(*name, None)));
            let content = answer.map(|answer| answer.text().trim().to_owned()).unwrap_or_default();
            turns.push(Message::new(Role::Assistant, content));
        }
        turns.push(Message::new(Role::User, &prompt));
        let prompt = if chat { Prompt::Chat(turns) } else { Prompt::Text(prompt) };
        let sequences: Vec<Task> = (0..u64::from(self.controls.copies.max(1)))
            .map(|place| Task { name: self.next_name + place, prompt: prompt.clone() })
            .collect();
        self.next_name += sequences.len() as u64;
        self.touch.focus = sequences.first().map(|task| task.name);
        self.touch.pinned = None;
        self.replay = None;
        let settings = self.controls.settings.clone();
        if let Some(contest) = contest {
            let most = if matches!(contest, Contest::Depth { .. }) { RACE_TOKENS } else { GUESSES_TOKENS };
            let settings = Settings { max_tokens: settings.max_tokens.min(most), ..settings };
            let (race, turn) = Race::begin(self.live.now, sequences, &settings, contest);
            self.race = Some(race);
            self.follow(turn);
        } else {
            self.touch.command(Command::Submit { sequences, settings });
        }
        if chat {
            self.prompt.clear();
        }
    }

    /// Shows what a race tells, and asks for what it needs.
    pub(super) fn follow(&mut self, turn: Turn) {
        turn.updates.iter().for_each(|stamped| self.show(stamped));
        turn.commands.into_iter().for_each(|command| self.touch.command(command));
    }
}
