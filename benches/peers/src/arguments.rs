//! What is said on the command line.

use std::path::PathBuf;

use lexopt::{Arg, Parser, ValueExt};

use crate::Result;
use crate::bench::Form;
use crate::engines::Kind;

const HELP: &str = "\
Measures dirkv, through its C interface, beside LMDB, SQLite, redb, fjall and the raw limit.

  --long            the full form, which takes long; without it the short one, some minutes
  --tiny            only whether everything runs and every answer is right
  --only WORDS      lines whose id begins with one of these, separated by commas (see --list); may be repeated
  --engines NAMES   dirkv and these only, separated by commas
  --dir FOLDER      where the stores are made; it decides which filesystem is measured (default: here)
  --out FOLDER      where table, plots and figures go (default: results)
  --seed NUMBER     of all choices, to have a run again
  --list            prints the lines and what is to be reached
  --help            prints this
";

/// The same, taken apart.
#[derive(Clone, Debug)]
pub struct Arguments {
    /// How much is done.
    pub form: Form,
    /// Beginnings of the ids of lines; empty for all.
    pub only: Vec<String>,
    /// Who takes part.
    pub kinds: Vec<Kind>,
    /// Where the stores are made.
    pub parent: PathBuf,
    /// Where the results go.
    pub out: PathBuf,
    /// Where all choices come from.
    pub seed: u64,
    /// Whether the lines are printed and nothing is measured.
    pub list: bool,
}

/// Takes the arguments of this process.
pub fn parse() -> Result<Arguments> {
    parse_from(Parser::from_env())
}

fn parse_from(mut parser: Parser) -> Result<Arguments> {
    let mut arguments = Arguments {
        form: Form::short(),
        only: Vec::new(),
        kinds: Kind::ALL.to_vec(),
        parent: PathBuf::from("."),
        out: PathBuf::from("results"),
        seed: fastrand::u64(..1 << 32),
        list: false,
    };
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("long") => arguments.form = Form::long(),
            Arg::Long("tiny") => arguments.form = Form::tiny(),
            Arg::Long("only") => arguments.only.extend(words(&parser.value()?.string()?)),
            Arg::Long("engines") => arguments.kinds = kinds(&parser.value()?.string()?)?,
            Arg::Long("dir") => arguments.parent = parser.value()?.into(),
            Arg::Long("out") => arguments.out = parser.value()?.into(),
            Arg::Long("seed") => arguments.seed = parser.value()?.parse()?,
            Arg::Long("list") => arguments.list = true,
            Arg::Long("help") | Arg::Short('h') => {
                print!("{HELP}");
                std::process::exit(0);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(arguments)
}

fn words(text: &str) -> Vec<String> {
    text.split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// dirkv and those named.
fn kinds(text: &str) -> Result<Vec<Kind>> {
    let named = |word: String| Kind::named(&word).ok_or_else(|| format!("there is no engine {word}"));
    let named = words(text).into_iter().map(named).collect::<std::result::Result<Vec<_>, _>>()?;
    Ok(Kind::ALL.into_iter().filter(|kind| *kind == Kind::Dirkv || named.contains(kind)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Arguments> {
        parse_from(Parser::from_args(arguments))
    }

    #[test]
    fn lines_and_engines_are_chosen() {
        let given =
            parsed(&["--only", "get,list.items", "--only=swap", "--engines", "LMDB,raw", "--seed", "7"]).unwrap();
        assert_eq!(given.only, ["get", "list.items", "swap"]);
        assert_eq!(given.kinds, [Kind::Dirkv, Kind::Lmdb, Kind::Raw]);
        assert_eq!((given.seed, given.form.name), (7, "short"));
    }

    #[test]
    fn what_is_unknown_is_refused() {
        assert!(parsed(&["--fast"]).is_err());
        assert!(parsed(&["--engines", "rocks"]).unwrap_err().to_string().contains("rocks"));
    }
}
