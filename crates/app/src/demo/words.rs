//! What the demonstration says, and the dice that choose it: always the same ones.

use tenon_core::users::Lang;

/// Name, language and time zone; the first owns everything.
pub(super) const PEOPLE: [(&str, Lang, &str); 24] = [
    ("Ada Okafor", Lang::En, "Europe/London"),
    ("Bruno Marchetti", Lang::En, "Europe/Rome"),
    ("Chloé Lambert", Lang::Fr, "Europe/Paris"),
    ("Diego Fuentes", Lang::Es, "Europe/Madrid"),
    ("Elif Yılmaz", Lang::En, "Europe/Istanbul"),
    ("Farid Haddad", Lang::Fr, "Africa/Algiers"),
    ("Greta Lindqvist", Lang::En, "Europe/Stockholm"),
    ("Hiro Tanaka", Lang::En, "Asia/Tokyo"),
    ("Inés Navarro", Lang::Es, "America/Bogota"),
    ("Jonas Becker", Lang::En, "Europe/Berlin"),
    ("Kavita Rao", Lang::En, "Asia/Kolkata"),
    ("Léo Fontaine", Lang::Fr, "Europe/Brussels"),
    ("Mariana Costa", Lang::Es, "America/Sao_Paulo"),
    ("Noor El Amrani", Lang::Fr, "Africa/Casablanca"),
    ("Oskar Nowak", Lang::En, "Europe/Warsaw"),
    ("Priya Menon", Lang::En, "Asia/Kolkata"),
    ("Quentin Morel", Lang::Fr, "America/Montreal"),
    ("Rosa Delgado", Lang::Es, "America/Mexico_City"),
    ("Sven Halvorsen", Lang::En, "Europe/Oslo"),
    ("Tomás Rivera", Lang::Es, "America/Lima"),
    ("Uma Kaur", Lang::En, "Asia/Singapore"),
    ("Viktor Horvat", Lang::En, "Europe/Zagreb"),
    ("Wren Gallagher", Lang::En, "Europe/Dublin"),
    ("Zoë Jansen", Lang::En, "Europe/Amsterdam"),
];

/// Names.
pub(super) const WORKSPACES: [&str; 3] = ["Meridian Goods", "Research", "Everyday"];

/// Where the wide board's work is done.
pub(super) const SITES: [&str; 10] =
    ["Antwerp", "Bilbao", "Cork", "Dresden", "Esbjerg", "Faro", "Genoa", "Hamburg", "Izmir", "Jönköping"];

const DEEDS: [&str; 20] = [
    "Show",
    "Hide",
    "Remember",
    "Check",
    "Translate",
    "Simplify",
    "Speed up",
    "Measure",
    "Explain",
    "Repair",
    "Test",
    "Print",
    "Export",
    "Import",
    "Rename",
    "Sort",
    "Round",
    "Retire",
    "Document",
    "Announce",
];
const THINGS: [&str; 25] = [
    "the delivery date",
    "the returns form",
    "the invoice address",
    "the price of gift wrapping",
    "the stock level",
    "the parcel label",
    "the search results",
    "the loyalty points",
    "the pick list",
    "the opening hours",
    "the size table",
    "the tax rate",
    "the confirmation mail",
    "the basket",
    "the supplier's catalogue",
    "the refund",
    "the newsletter switch",
    "the product photos",
    "the voucher",
    "the damage report",
    "the shelf number",
    "the customs form",
    "the waiting list",
    "the weekly figures",
    "the sign-in page",
];
const PLACES: [&str; 16] = [
    "on the first page",
    "for guests",
    "on small screens",
    "after midnight",
    "in the warehouse",
    "for business customers",
    "when nothing is in stock",
    "in the printed version",
    "before the sale begins",
    "for parcels abroad",
    "in three languages",
    "at the checkout",
    "for the night shift",
    "when the network is slow",
    "in the archive",
    "on the handheld scanners",
];
const REASONS: [&str; 10] = [
    "Customers ask about it every week.",
    "The warehouse writes it on paper at the moment.",
    "It was promised for the spring.",
    "Support answers this by hand, twenty times a day.",
    "Nobody remembers why it is the way it is.",
    "It came up in four of the last six interviews.",
    "The old system did this, and people miss it.",
    "It takes eleven seconds, and people count them.",
    "The auditors will ask.",
    "It is small, and it is in everybody's way.",
];
const STEPS: [&str; 12] = [
    "ask the people who do it today",
    "draw it on paper first",
    "write the test that fails",
    "agree on the words",
    "look at last year's figures",
    "try it with one site",
    "measure before and after",
    "tell support a week ahead",
    "keep the old way for a month",
    "check it with a screen reader",
    "remove what it replaces",
    "write down what we decided",
];
const REMARKS: [&str; 20] = [
    "I tried this on the test system and it holds.",
    "Can we see it together tomorrow morning?",
    "The numbers from last month are attached to the story about the figures.",
    "I would leave the second part for later.",
    "Agreed. I'll take it from here.",
    "This depends on the labels, which are not ready before Thursday.",
    "Done on my side, please have a look.",
    "Two customers wrote about exactly this today.",
    "I do not think that we need it for guests.",
    "It is slower than before: **340 ms** instead of 210.",
    "Who knows how the scanners behave here?",
    "I asked the warehouse; they prefer the list on paper for now.",
    "Let us keep the wording short, the labels are small.",
    "Moved it forward, there was nothing left to decide.",
    "The translation is missing for French.",
    "Good catch, thank you!",
    "I could not reproduce it with the newest scanner.",
    "We said no to this in March, and the reasons still hold.",
    "Works for me:\n\n1. open the basket\n2. change the country\n3. look at the sum",
    "Please do not merge this with the other one, they only look alike.",
];

/// `Chloé Lambert` gives `chloe.lambert`.
pub(super) fn handle(name: &str) -> String {
    name.to_lowercase()
        .chars()
        .map(|c| match c {
            'á' | 'à' => 'a',
            'é' | 'ë' => 'e',
            'ı' | 'í' => 'i',
            'ó' => 'o',
            ' ' => '.',
            other => other,
        })
        .collect()
}

/// A small file: its name and content.
pub(super) fn file(number: usize) -> (String, String) {
    let mut dice = Dice::new(1000 + number as u64);
    match number % 3 {
        0 => {
            let rows = (1..=40).map(|week| format!("{week},{},{}\n", dice.below(900), dice.below(90)));
            let rows: String = rows.collect();
            (format!("figures-{}.csv", number + 1), format!("week,parcels,returns\n{rows}"))
        }
        1 => {
            let lines: Vec<_> = (0..12).map(|_| format!("- {}", dice.comment().replace('\n', " "))).collect();
            (format!("notes-{}.md", number + 1), format!("# Notes\n\n{}\n", lines.join("\n")))
        }
        _ => {
            let bars: Vec<_> = (0..12)
                .map(|bar| {
                    format!("<rect x=\"{}\" width=\"8\" height=\"{}\"/>", bar * 10, 10 + dice.below(90))
                })
                .collect();
            let svg = format!(
                "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 120 100\">{}</svg>\n",
                bars.concat()
            );
            (format!("chart-{}.svg", number + 1), svg)
        }
    }
}

/// Chance that is the same each time (the generator is Vigna's `SplitMix64`).
#[derive(Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("below a usize, so it is one")
    }

    /// A number below `end`, more often a small one.
    pub(super) fn lopsided(&mut self, end: usize) -> usize {
        let (a, b) = (self.below(end), self.below(end));
        a * b / end
    }

    fn of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len())]
    }

    /// A title and a description.
    pub(super) fn story(&mut self) -> (String, String) {
        let title = format!("{} {} {}", self.of(&DEEDS), self.of(&THINGS), self.of(&PLACES));
        let mut description = self.of(&REASONS).to_owned();
        let steps = self.below(5);
        if steps > 1 {
            description.push_str("\n\n");
            for _ in 0..steps {
                let (done, step) = (if self.below(3) == 0 { "x" } else { " " }, self.of(&STEPS));
                description.extend(["- [", done, "] ", step, "\n"]);
            }
        }
        (title, description)
    }

    /// What somebody says to a story.
    pub(super) fn comment(&mut self) -> String {
        self.of(&REMARKS).to_owned()
    }
}

#[cfg(test)]
mod tests {
    use tenon_core::users::Username;

    use super::{Dice, PEOPLE, handle};

    #[test]
    fn the_same_seed_tells_the_same_story() {
        assert_eq!(Dice::new(7).story(), Dice::new(7).story());
        assert_ne!(Dice::new(7).story(), Dice::new(8).story());
    }

    #[test]
    fn every_name_makes_a_handle() {
        for (name, ..) in PEOPLE {
            assert!(Username::parse(&handle(name)).is_ok(), "{name}");
        }
    }
}
