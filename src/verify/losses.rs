//! The loss gate: whether what vanished was declared, and if not, which file took it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::inventory::{Footprint, Inventory};
use super::parts::{Held, Parts, parts};
use super::rename::Renames;
use crate::error::Problem;
use crate::migration::{Declarations, Dropped, Part, Rename, What, line_of_rows};
use crate::schema::{Nature, Schema};

/// What a database held before and lacks after the plan without a declaration, each with its file and the line to add.
#[must_use]
pub fn undeclared_losses(
    before: &Inventory,
    after: &Inventory,
    footprints: &[Footprint],
) -> Vec<Problem> {
    let renames = Renames::that_happened(footprints);
    let declared = footprints.iter().enumerate().flat_map(|(index, print)| {
        let drops = print.declared.drops.iter();
        drops
            .flat_map(|dropped| renames.all_names(dropped, index))
            .collect::<Vec<_>>()
    });
    let gate = Gate {
        before: renames.last_names(&before.schema, 0),
        after: &after.schema,
        declared: declared.collect(),
        renames,
        footprints,
    };
    let mut problems = gate.lost_parts();
    problems.extend(gate.lost_rows(before, after));
    problems
}

/// The header lines that a migration from one schema to another needs so that the gate lets it through.
#[must_use]
pub fn directives(before: &Schema, after: &Schema, renames: &[Rename]) -> Vec<String> {
    let print = Footprint {
        file: PathBuf::new(),
        no_transaction: false,
        declared: Declarations {
            renames: renames.to_vec(),
            ..Declarations::default()
        },
        schema: after.clone(),
        deleted: BTreeMap::new(),
        taken_from: BTreeSet::new(),
    };
    let footprints = [print];
    let names = Renames::that_happened(&footprints);
    let gate = Gate {
        before: names.last_names(before, 0),
        after,
        declared: BTreeSet::new(),
        renames: names,
        footprints: &footprints,
    };
    let (had, has) = (parts(&gate.before), parts(gate.after));
    let drops: BTreeSet<String> = had
        .iter()
        .filter(|(part, held)| gate.is_undeclared(part, held, &has))
        .map(|(_, held)| line_of(&held.shown))
        .collect();
    let renames = renames.iter().map(|rename| format!("-- renames: {rename}"));
    renames.chain(drops).collect()
}

struct Gate<'f> {
    /// With every name as it is in the end.
    before: Schema,
    after: &'f Schema,
    declared: BTreeSet<Dropped>,
    renames: Renames,
    footprints: &'f [Footprint],
}

impl Gate<'_> {
    fn lost_parts(&self) -> Vec<Problem> {
        let (had, has) = (parts(&self.before), parts(self.after));
        let lost: Vec<(&Dropped, &Held)> = had
            .iter()
            .filter(|(part, held)| self.is_undeclared(part, held, &has))
            .collect();
        if lost.is_empty() {
            return Vec::new();
        }
        let after_each: Vec<Parts> = self
            .footprints
            .iter()
            .enumerate()
            .map(|(index, print)| parts(&self.renames.last_names(&print.schema, index + 1)))
            .collect();
        lost.into_iter()
            .map(|(part, held)| {
                let taken = after_each
                    .iter()
                    .rposition(|then| !is_lost(part, held, then));
                let taker = self.footprints.get(taken.map_or(0, |last| last + 1));
                problem(taker, &self.lost_message(part, held, &has))
            })
            .collect()
    }

    fn is_undeclared(&self, part: &Dropped, held: &Held, has: &Parts) -> bool {
        let taken_along = held
            .within
            .iter()
            .any(|whole| self.declared.contains(whole) || !has.contains_key(whole));
        let constraints = Dropped::whole(What::Constraints, &part.name);
        let any_constraint = is_constraint(part.what) && self.declared.contains(&constraints);
        is_lost(part, held, has)
            && !taken_along
            && !any_constraint
            && !self.declared.contains(part)
            && !self.declared.contains(&held.shown)
    }

    fn lost_message(&self, part: &Dropped, held: &Held, has: &Parts) -> String {
        let line = line_of(&held.shown);
        let words = held.words.clone().unwrap_or_else(|| held.shown.to_string());
        let what = match (part.what, has.get(part)) {
            (What::Index, Some(now)) => {
                let now = now.words.as_deref().unwrap_or_default();
                format!("{} was {words} and is {now}", held.shown)
            }
            (What::Index, None) => format!("{} vanished without being declared", held.shown),
            _ => format!("{words} vanished without being declared"),
        };
        let renamed = self.rename_line(part);
        format!("{what}; if that is meant, add the line '{line}'{renamed}")
    }

    /// Where something new could be what vanished, under another name.
    fn rename_line(&self, part: &Dropped) -> String {
        let rename = match (&part.what, &part.part) {
            (What::Table, _) => self.new_table().map(|to| Rename::Table {
                from: part.name.clone(),
                to,
            }),
            (What::Column, Part::Member(column)) => {
                self.new_column(&part.name, column)
                    .map(|to| Rename::Column {
                        table: part.name.clone(),
                        from: column.clone(),
                        to,
                    })
            }
            _ => None,
        };
        rename.map_or_else(String::new, |rename| {
            format!(" or, where it has another name now, '-- renames: {rename}'")
        })
    }

    fn new_table(&self) -> Option<String> {
        let mut names = self.after.tables.keys();
        names
            .find(|name| !self.before.tables.contains_key(*name))
            .cloned()
    }

    /// Preferably one of the same type.
    fn new_column(&self, table: &str, column: &str) -> Option<String> {
        let find = |schema: &Schema| {
            let mut tables = schema.tables.clone().into_iter();
            tables
                .find(|(name, _)| name.eq_ignore_ascii_case(table))
                .map(|(_, table)| table)
        };
        let (had, has) = (find(&self.before)?, find(self.after)?);
        let kind = &had.column(column)?.declared_type;
        let new = || has.columns.iter().filter(|c| had.column(&c.name).is_none());
        new()
            .find(|candidate| candidate.declared_type == *kind)
            .or_else(|| new().next())
            .map(|candidate| candidate.name.clone())
    }

    fn lost_rows(&self, before: &Inventory, after: &Inventory) -> Vec<Problem> {
        let declared: BTreeSet<String> = self
            .footprints
            .iter()
            .enumerate()
            .flat_map(|(index, print)| {
                let tables = print.declared.deletes.iter();
                tables.flat_map(move |table| [table.clone(), self.renames.last_name(table, index)])
            })
            .collect();
        let mut problems = Vec::new();
        for (name, count) in &before.rows {
            let table = &self.renames.last_name(name, 0);
            let dropped = self.declared.contains(&Dropped::whole(What::Table, table));
            let mut counts = after.rows.iter();
            let now = counts.find(|(name, _)| name.eq_ignore_ascii_case(table));
            let Some((_, now)) = now.filter(|_| !declared.contains(table)) else {
                continue;
            };
            if now < count {
                let message = format!("{table} had {count} rows and has {now}");
                problems.push(rows_problem(self.taker_of_rows(table), &message, table));
            } else if !dropped && self.is_ordinary(table) {
                problems.extend(self.replaced_rows(table));
            }
        }
        problems
    }

    /// The count does not show rows that were deleted while others were inserted.
    fn replaced_rows(&self, table: &str) -> Vec<Problem> {
        let deleted = self
            .footprints
            .iter()
            .enumerate()
            .filter_map(|(index, print)| {
                let counts = print.deleted.iter();
                let rows: i64 = counts
                    .filter(|(name, _)| self.last_name_in(index, name) == table)
                    .map(|(_, rows)| rows)
                    .sum();
                (rows > 0).then_some((print, rows))
            });
        deleted
            .map(|(print, rows)| {
                let message =
                    format!("it deletes {rows} row(s) of {table}, and others are inserted");
                rows_problem(Some(print), &message, table)
            })
            .collect()
    }

    fn is_ordinary(&self, table: &str) -> bool {
        let mut tables = self.before.tables.iter();
        tables.any(|(name, found)| {
            name.eq_ignore_ascii_case(table) && found.nature == Nature::Ordinary
        })
    }

    /// The only file that can have taken them.
    fn taker_of_rows(&self, table: &str) -> Option<&Footprint> {
        let mut takers = self.footprints.iter().enumerate().filter(|(index, print)| {
            let mut names = print.taken_from.iter();
            names.any(|name| self.last_name_in(*index, name) == table)
        });
        let first = takers.next();
        first
            .filter(|_| takers.next().is_none())
            .map(|(_, print)| print)
    }

    /// Of a table that a file named: it may have renamed it afterwards.
    fn last_name_in(&self, index: usize, table: &str) -> String {
        let mut tables = self.footprints[index].schema.tables.keys();
        let is_there = tables.any(|name| name.eq_ignore_ascii_case(table));
        self.renames.last_name(table, index + usize::from(is_there))
    }
}

fn is_lost(part: &Dropped, held: &Held, has: &Parts) -> bool {
    has.get(part)
        .is_none_or(|now| !held.facets.is_subset(&now.facets))
}

fn is_constraint(what: What) -> bool {
    !matches!(
        what,
        What::Table | What::Column | What::Index | What::Trigger | What::View
    )
}

/// A constraint whose text a directive cannot carry is declared for the whole table.
fn line_of(part: &Dropped) -> String {
    let text = part.to_string();
    if Dropped::parse(&text).as_ref() == Ok(part) && !text.contains('\n') {
        format!("-- drops: {text}")
    } else {
        format!(
            "-- drops: {}",
            Dropped::whole(What::Constraints, &part.name)
        )
    }
}

fn rows_problem(taker: Option<&Footprint>, message: &str, table: &str) -> Problem {
    let line = line_of_rows(table);
    problem(
        taker,
        &format!("{message}; if that is meant, add the line '{line}'"),
    )
}

fn problem(taker: Option<&Footprint>, message: &str) -> Problem {
    let (file, place) = match taker {
        // The marker has to stay where it is.
        Some(print) if print.no_transaction => {
            (shown(&print.file), "below the first line of that file")
        }
        Some(print) => (shown(&print.file), "to the top of that file"),
        None => ("migrations".into(), "to the top of the file that does it"),
    };
    Problem::new(file, format!("{message} {place}"))
}

fn shown(file: &Path) -> String {
    file.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Details, Table};

    fn unread(text: &str) -> Schema {
        let details = Details {
            text: text.into(),
            unread: Some("near \"new\": syntax error".into()),
            ..Details::default()
        };
        let table = Table {
            details,
            ..Table::default()
        };
        let mut schema = Schema::default();
        schema.tables.insert("t".into(), table);
        schema
    }

    fn losses(before: &str, after: &str, drops: &[Dropped]) -> Vec<Problem> {
        let inventory = |text| Inventory {
            schema: unread(text),
            ..Inventory::default()
        };
        let print = Footprint {
            file: "009_t.up.sql".into(),
            no_transaction: false,
            declared: Declarations {
                drops: drops.iter().cloned().collect(),
                ..Declarations::default()
            },
            schema: unread(after),
            deleted: BTreeMap::new(),
            taken_from: BTreeSet::new(),
        };
        undeclared_losses(&inventory(before), &inventory(after), &[print])
    }

    #[test]
    fn a_definition_that_cannot_be_read_may_not_change_without_a_word() {
        assert_eq!(losses("create a new thing", "create a new thing", &[]), []);
        let problems = losses("create a new thing", "create a thing", &[]);
        let message = problems[0].to_string();
        assert!(message.contains("'-- drops: constraints t'"), "{message}");
        assert!(message.contains("near \"new\": syntax error"), "{message}");
        let declared = [Dropped::whole(What::Constraints, "t")];
        assert_eq!(
            losses("create a new thing", "create a thing", &declared),
            []
        );
    }

    #[test]
    fn a_name_that_no_directive_can_carry_is_declared_with_its_table() {
        let part = Dropped::check("t", "my odd column > 0");
        assert_eq!(line_of(&part), "-- drops: constraints t");
    }
}
