//! What group machines see of topics and of settings of single groups: a view of the metadata, made when somebody asks and kept until
//! topics change.
//!
//! Versions ascend and are milliseconds of the clock where they can be, so that they go on ascending
//! after a restart. Two requests that make the view at once make the same but for its version; the
//! later one stays.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use lastword_coordinator::{GroupOverrides, MetadataView, TopicId, TopicView};

use crate::broker::Broker;
use crate::metadata::{ConfigOwner, MetadataImage, TopicImage, view_of};

/// The latest view, with the image it was made from.
#[derive(Default)]
pub(super) struct Views {
    latest: ArcSwapOption<(Arc<MetadataImage>, Arc<MetadataView>)>,
}

impl Views {
    /// The view of the broker's topics as they are now.
    pub(super) fn current(&self, broker: &Broker) -> Arc<MetadataView> {
        let image = broker.metadata.image();
        let latest = self.latest.load_full();
        if let Some(latest) = &latest
            && Arc::ptr_eq(&latest.0, &image)
        {
            return latest.1.clone();
        }
        let before = latest.as_ref().map(|latest| &latest.1);
        let view = Arc::new(make(
            broker,
            &image,
            before.map_or(0, |view| view.version()),
        ));
        // Not every change of the metadata is one of topics.
        let view = match before {
            Some(before) if before.shows_the_same_as(&view) => before.clone(),
            _ => view,
        };
        self.latest.store(Some(Arc::new((image, view.clone()))));
        view
    }
}

fn make(broker: &Broker, image: &MetadataImage, last_version: i64) -> MetadataView {
    let version = broker.clock.now_ms().max(last_version + 1);
    let shown = |topic: &TopicImage| TopicView {
        name: topic.name.clone(),
        id: TopicId(topic.id.0),
        partition_count: topic.partition_count,
    };
    let topics = image
        .topics()
        .flat_map(|topic| [shown(topic), shown(&view_of(topic))]);
    MetadataView::new(
        version,
        topics,
        broker.config.rack.clone(),
        overrides(image),
    )
}

/// What was set for single groups.
fn overrides(image: &MetadataImage) -> BTreeMap<String, GroupOverrides> {
    let groups = image.owners(ConfigOwner::Group);
    groups
        .map(|(name, configs)| {
            let number = |config: &str| configs.get(config)?.trim().parse().ok();
            let overrides = GroupOverrides {
                session_timeout_ms: number("consumer.session.timeout.ms"),
                heartbeat_interval_ms: number("consumer.heartbeat.interval.ms"),
                assignment_interval_ms: number("consumer.assignment.interval.ms"),
            };
            (name.to_owned(), overrides)
        })
        .collect()
}
