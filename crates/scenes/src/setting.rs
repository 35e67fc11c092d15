//! Settings: the ground, the surroundings and the light.

use super::interior;
use super::outdoors::outdoors;
use super::palette::Palette;
use super::random::Random;
use super::stage::{Extent, Stage};

/// A kind of place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Setting {
    /// A furnished room with a window.
    Room,
    /// A photographer's studio: plain walls, large soft lights.
    Studio,
    /// A paved square with facades.
    Plaza,
    /// Open country: grass, sand or snow, hills.
    Meadow,
}

impl Setting {
    /// A kind of place.
    pub(super) fn draw(random: &mut Random) -> Self {
        const SETTINGS: [(Setting, f32); 4] = [
            (Setting::Room, 3.2),
            (Setting::Studio, 1.2),
            (Setting::Plaza, 2.6),
            (Setting::Meadow, 3.0),
        ];
        SETTINGS[random.weighted(&SETTINGS.map(|entry| entry.1))].0
    }

    pub(super) fn outdoors(self) -> bool {
        matches!(self, Self::Plaza | Self::Meadow)
    }
}

impl Stage {
    /// A place of this kind around `extent`.
    pub(super) fn build(
        random: &mut Random,
        setting: Setting,
        palette: &Palette,
        extent: &Extent,
    ) -> Self {
        match setting {
            Setting::Room => interior::room(random, palette, extent),
            Setting::Studio => interior::studio(random, palette, extent),
            Setting::Plaza => outdoors(random, palette, extent, true),
            Setting::Meadow => outdoors(random, palette, extent, false),
        }
    }
}
