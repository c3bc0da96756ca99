//! Who guesses, as a user says it: `off`, `auto`, `lookup`, `rounds=2`; one word for command, window, page and library.

use std::str::FromStr;

use crate::engine::guessing::{DraftSource, Guesses, PathSource};
use crate::engine::{Engine, MAX_GUESSES};
use crate::error::{Error, RequestError};
use crate::network::kit::Kit;
use crate::runtime::tick::Order;
use crate::service::draft_kit::path_of;

/// What can be said.
const WORDS: &str = "off, auto, lookup, rounds or rounds=N (of a plain stack also exit=N), or a kit's folder, with #jump or #exit-N \
                     behind it for one of its parts";

/// Who guesses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Draft {
    /// Nobody.
    #[default]
    Off,
    /// Whoever can, as many guesses as pay, and none where none do.
    Auto,
    /// The text itself: what followed its last tokens where they stood before.
    Lookup,
    /// The model's own first rounds, so many; layers of a plain stack. None: a quarter of them.
    Rounds(Option<u32>),
    /// A part of a kit, `jump` or `exit-N`, behind lookup; the one that agrees most for its cost where none is named.
    Kit {
        /// Where the kit lies.
        folder: String,
        /// Which part.
        part: Option<String>,
    },
}

/// Who guesses, and how many guesses are checked behind each token: as many as pay where none are said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Drafting {
    /// Who guesses.
    pub draft: Draft,
    /// How many guesses.
    #[serde(default)]
    pub guesses: Option<u32>,
}

impl FromStr for Draft {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, number) = match text.split_once('=') {
            Some((name, number)) => (name, Some(number)),
            None => (text, None),
        };
        let number = match number.map(|number| number.trim().parse::<u32>()) {
            None => None,
            Some(Ok(number)) => Some(number),
            Some(Err(_)) if !matches!(name, "rounds" | "exit") => None,
            Some(Err(_)) => {
                return Err(format!("`{text}`: what follows the `=` must be a number of rounds, as in `rounds=2`"));
            }
        };
        match (name.trim(), number) {
            ("off", None) => Ok(Self::Off),
            ("auto", None) => Ok(Self::Auto),
            ("lookup", None) => Ok(Self::Lookup),
            ("rounds" | "exit", rounds) => Ok(Self::Rounds(rounds)),
            ("" | "off" | "auto" | "lookup", _) => Err(format!("`{text}`: it must be {WORDS}")),
            _ => {
                let (folder, part) = match text.rsplit_once('#') {
                    Some((folder, part)) => (folder, Some(part.to_owned())),
                    None => (text, None),
                };
                Ok(Self::Kit { folder: folder.to_owned(), part })
            }
        }
    }
}

impl Drafting {
    /// Nobody guesses.
    pub const OFF: Self = Self { draft: Draft::Off, guesses: None };
    /// Whoever can, as many guesses as pay.
    pub const AUTO: Self = Self { draft: Draft::Auto, guesses: None };

    /// Guesses behind each token for which an engine must make room ([`EngineOptions::guesses`](crate::engine::EngineOptions::guesses)).
    pub fn room(&self) -> u32 {
        match (&self.draft, self.guesses) {
            (Draft::Off, _) => 0,
            // With the next token that is a power of two.
            (_, None) => MAX_GUESSES - 1,
            (_, Some(guesses)) => guesses.min(MAX_GUESSES),
        }
    }

    /// Refuses what no model can follow.
    ///
    /// # Errors
    /// More guesses than [`MAX_GUESSES`], or none.
    pub fn check(&self) -> Result<(), RequestError> {
        match self.guesses {
            Some(guesses) if guesses == 0 || guesses > MAX_GUESSES => {
                let range = format!("between 1 and {MAX_GUESSES}; none where drafting is off");
                Err(RequestError::Setting { name: "guesses", value: guesses.to_string(), range })
            }
            _ => Ok(()),
        }
    }

    /// The folder of the kit that it takes, if it takes one.
    pub fn kit(&self) -> Option<&str> {
        match &self.draft {
            Draft::Kit { folder, .. } => Some(folder),
            _ => None,
        }
    }

    /// Sets an engine to it, with the kit where it takes one, which [fits](Kit::fits) the model.
    ///
    /// # Errors
    /// As [`Engine::set_drafting`], or a part that the kit lacks; `auto` guesses nothing where the engine cannot.
    pub async fn apply(&self, engine: &mut Engine, kit: Option<&Kit>) -> Result<(), Error> {
        self.check()?;
        let most = engine.most_guesses();
        let guesses = self.guesses.map_or(Guesses::Auto, Guesses::Fixed);
        let rounds = engine.plan().n_rounds();
        let sources = match &self.draft {
            Draft::Off => vec![],
            Draft::Auto if engine.order() == Order::Mixed || most == 0 => vec![],
            Draft::Auto | Draft::Lookup => vec![DraftSource::LOOKUP],
            Draft::Kit { part, folder } => {
                let Some(kit) = kit else {
                    let range = "off, auto, lookup or rounds here: a kit is read where files are".to_owned();
                    return Err(RequestError::Setting { name: "draft", value: folder.clone(), range }.into());
                };
                vec![DraftSource::LOOKUP, DraftSource::Path(path_of(kit, part.as_deref(), rounds)?)]
            }
            Draft::Rounds(some) => vec![DraftSource::Path(PathSource::rounds(some.unwrap_or((rounds / 4).max(1))))],
        };
        engine.set_drafting(&sources, if sources.is_empty() { Guesses::Fixed(0) } else { guesses }).await
    }
}

#[test]
fn who_guesses_is_said_in_a_word() {
    assert_eq!("lookup".parse(), Ok(Draft::Lookup));
    assert_eq!("rounds=3".parse(), Ok(Draft::Rounds(Some(3))));
    assert_eq!("exit".parse(), Ok(Draft::Rounds(None)));
    let kit =
        |folder: &str, part: Option<&str>| Ok(Draft::Kit { folder: folder.into(), part: part.map(str::to_owned) });
    assert_eq!("a/kit".parse(), kit("a/kit", None));
    assert_eq!("a=b/kit#exit-8".parse(), kit("a=b/kit", Some("exit-8")));
    for wrong in ["", "lookup=3", "rounds=x", "off=1"] {
        assert!(wrong.parse::<Draft>().is_err(), "{wrong}");
    }
    assert_eq!((Drafting::OFF.room(), Drafting::AUTO.room()), (0, 7));
    assert!(Drafting { guesses: Some(9), ..Drafting::AUTO }.check().is_err());
}
