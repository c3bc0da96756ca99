//! What is sent to the service: a prompt as many times as asked, or a race of it.

use super::Panel;
use crate::race::{Race, Turn};
use crate::service::{Command, Prompt, Settings, Task};
use crate::text::{Message, Role};

/// Tokens of a sequence in a heat, at most: heats that alternate often share what else the machine does.
const RACE_TOKENS: u32 = 64;
impl Panel {
    /// Sends the prompt, as many times as asked.
    pub(super) fn send(&mut self, race: bool) {
        let prompt = self.prompt.trim_end_matches(['\n', '\r']).to_owned();
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
        if race {
            let settings = Settings { max_tokens: settings.max_tokens.min(RACE_TOKENS), ..settings };
            let (race, turn) = Race::begin(self.live.now, sequences, &settings, self.live.rounds());
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
