//! What is looked for.

macro_rules! kinds {
    ($($kind:ident $name:literal $default:literal,)*) => {
        /// A sort of personal data.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Kind {
            $($kind,)*
        }

        /// All kinds: name in the configuration, and whether it is on by default.
        pub const KINDS: &[(Kind, &str, bool)] = &[$((Kind::$kind, $name, $default),)*];

        impl Kind {
            /// What stands in its place.
            pub fn tag(self) -> &'static str {
                match self {
                    $(Kind::$kind => concat!("[", $name, "]"),)*
                }
            }

            /// The metric that counts it.
            pub fn metric(self) -> &'static str {
                match self {
                    $(Kind::$kind => concat!("masked_", $name),)*
                }
            }
        }
    };
}

kinds! {
    Email "email" true,
    Phone "phone" true,
    Iban "iban" true,
    Card "card" true,
    UsSsn "us_ssn" true,
    UkNino "uk_nino" true,
    DeSteuerId "de_steuer_id" true,
    FrNir "fr_nir" true,
    EsDni "es_dni" true,
    ItCodiceFiscale "it_codice_fiscale" true,
    NlBsn "nl_bsn" true,
    PlPesel "pl_pesel" true,
    SePersonnummer "se_personnummer" true,
    Ipv4 "ipv4" false,
    Ipv6 "ipv6" false,
}

/// A set of kinds, one bit each.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Kinds(pub u32);

impl Kinds {
    pub fn has(self, kind: Kind) -> bool {
        self.0 >> kind as u32 & 1 == 1
    }

    pub fn set(&mut self, kind: Kind, on: bool) {
        self.0 = self.0 & !(1 << kind as u32) | (on as u32) << kind as u32;
    }
}
