//! Rules, each of which can be left out.

/// A rule of a room.
pub struct Rule {
    /// How it is called.
    pub name: &'static str,
    /// What it says; a number is that of the nineteen rules.
    pub text: &'static str,
    /// A small world in which something breaks without it; `None` if nothing does in any of them: then the text says why.
    pub noticed_in: Option<&'static str>,
}

/// The rules of one room, `name: "text" => "world that notices"`: a struct of switches and a list. `true`: the rule is kept.
macro_rules! rules {
    ($($name:ident: $text:literal => $world:literal),* $(,)?) => {
        #[derive(Clone, Copy, Debug)]
        pub struct Rules { $(#[doc = $text] pub $name: bool),* }

        /// Every rule.
        pub const RULES: &[$crate::rules::Rule] = &[$($crate::rules::Rule {
            name: stringify!($name),
            text: $text,
            noticed_in: if $world.is_empty() { None } else { Some($world) },
        }),*];

        impl Rules {
            /// All but those named.
            pub fn without(names: &[&str]) -> Rules {
                let mut rules = Rules { $($name: true),* };
                for &name in names {
                    match name {
                        $(stringify!($name) => rules.$name = false,)*
                        _ => panic!("no rule {name} in this world"),
                    }
                }
                rules
            }
        }
    };
}
pub(crate) use rules;
