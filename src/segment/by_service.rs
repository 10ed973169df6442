//! Resources numbered inside their service.
//!
//! A row's class says its service, and a service has few resources, its instances. So the column of resources has
//! the place of each among those of its service, the one with the most rows first: two or three bits where the code
//! of the resource would take seven.

use std::ops::Range;

use rustc_hash::FxHashMap;

use crate::column::Class;

/// The resources of each service, most rows first, of equal ones by code.
pub struct ByService {
    resources: Vec<u32>,
    ranges: FxHashMap<u32, Range<u32>>,
}

impl ByService {
    /// Of resources with these services and rows.
    pub fn of(services: &[u32], rows: &[u64]) -> Self {
        let mut resources: Vec<u32> = (0..services.len() as u32).collect();
        let rows = |code: u32| rows.get(code as usize).copied().unwrap_or(0);
        resources.sort_by_key(|code| (services[*code as usize], std::cmp::Reverse(rows(*code)), *code));
        let mut ranges: FxHashMap<u32, Range<u32>> = FxHashMap::default();
        for (place, code) in (0..).zip(&resources) {
            ranges.entry(services[*code as usize]).or_insert(place..place).end = place + 1;
        }
        Self { resources, ranges }
    }

    /// The place of each row's resource inside the service of its class; `None` if a row's resource is of another service.
    pub fn places(
        &self,
        services: &[u32],
        classes: &[Class],
        rows: impl Iterator<Item = (u32, u32)>,
    ) -> Option<Vec<u64>> {
        let mut place_of = vec![0; self.resources.len()];
        for range in self.ranges.values() {
            let resources = self.resources.get(range.start as usize..range.end as usize)?;
            (0..).zip(resources).for_each(|(place, code)| place_of[*code as usize] = place);
        }
        rows.map(|(class, resource)| {
            let same = classes.get(class as usize)?.service == *services.get(resource as usize)?;
            same.then(|| place_of[resource as usize])
        })
        .collect()
    }

    /// For each class the resources its rows may have.
    pub fn of_classes(&self, classes: &[Class]) -> ClassResources {
        let range = |class: &Class| self.ranges.get(&class.service).cloned().unwrap_or(0..0);
        ClassResources { resources: self.resources.clone(), ranges: classes.iter().map(range).collect() }
    }
}

/// The resources that the rows of each class may have, by what the column says.
#[derive(Debug)]
pub struct ClassResources {
    resources: Vec<u32>,
    ranges: Vec<Range<u32>>,
}

impl ClassResources {
    /// Where the column has the codes of the resources themselves.
    pub fn plain(resources: usize, classes: usize) -> Self {
        let all = 0..resources as u32;
        Self { resources: all.clone().collect(), ranges: vec![all; classes] }
    }

    /// The resource of a row of this class that the column says this of.
    #[inline]
    pub fn get(&self, class: u32, said: u64) -> Option<u32> {
        let range = self.ranges.get(class as usize)?;
        let place = u32::try_from(said).ok().filter(|place| *place < range.end - range.start)?;
        self.resources.get((range.start + place) as usize).copied()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn classes() -> Vec<Class> {
        (0..6).map(|service| Class { service, ..Class::plain(0, 0) }).collect()
    }

    proptest! {
        #[test]
        fn places_lead_back_to_the_resources(
            resources in prop::collection::vec((0..6u32, 0..100u64), 1..20), rows in prop::collection::vec(0..20usize, 0..50),
        ) {
            let services: Vec<u32> = resources.iter().map(|(service, _)| *service).collect();
            let counts: Vec<u64> = resources.iter().map(|(_, rows)| *rows).collect();
            let by_service = ByService::of(&services, &counts);
            let rows: Vec<u32> = rows.iter().map(|row| (row % resources.len()) as u32).collect();
            let of_rows = rows.iter().map(|resource| (services[*resource as usize], *resource));
            let places = by_service.places(&services, &classes(), of_rows).unwrap();
            let back = by_service.of_classes(&classes());
            for (resource, place) in rows.iter().zip(places) {
                prop_assert_eq!(back.get(services[*resource as usize], place), Some(*resource));
            }
        }
    }

    #[test]
    fn a_place_outside_the_service_is_no_resource() {
        let by_service = ByService::of(&[3, 1, 3], &[5, 5, 9]);
        let back = by_service.of_classes(&classes());
        assert_eq!([0, 1, 2].map(|place| back.get(3, place)), [Some(2), Some(0), None]);
        assert_eq!([(0, 0), (1, 1), (6, 0), (1, u64::MAX)].map(|(class, place)| back.get(class, place)), [None; 4]);
        assert_eq!(by_service.places(&[3, 1, 3], &classes(), [(1, 0)].into_iter()), None);
        assert_eq!(ClassResources::plain(2, 1).get(0, 1), Some(1));
        assert_eq!(ClassResources::plain(2, 1).get(0, 2), None);
    }
}
