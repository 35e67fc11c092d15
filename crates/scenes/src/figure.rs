//! Human-like figures of capsules and ellipsoids.
//!
//! A figure faces +z and stands on y = 0; its left is +x. The skeleton is a chain of frames: every limb extends
//! along -y of its own frame, and a joint rotates it in the coordinates of the limb above.

use super::geometry::{Frame, Vec3, vec3};
use super::material::{Material, Pattern, Texture};
use super::palette::{Palette, alike, complexion};
use super::pose::{ArmPose, LegPose, Pose};
use super::prop::Prop;
use super::random::Random;
use super::shape::Shape;
use super::world::Primitive;
use super::{Class, Part};

/// Proportions relative to the height of the figure.
mod share {
    pub(super) const HIP: f32 = 0.515;
    pub(super) const HIP_HALF_WIDTH: f32 = 0.05;
    pub(super) const SHOULDER: f32 = 0.295;
    pub(super) const SHOULDER_HALF_WIDTH: f32 = 0.105;
    pub(super) const UPPER_ARM: f32 = 0.165;
    pub(super) const LOWER_ARM: f32 = 0.15;
    pub(super) const UPPER_LEG: f32 = 0.245;
    pub(super) const LOWER_LEG: f32 = 0.235;
}

/// The clothes of a figure.
struct Outfit {
    skin: Material,
    hair: Material,
    long_hair: bool,
    hat: Option<Material>,
    shirt: Material,
    long_sleeves: bool,
    trousers: Material,
    shorts: bool,
    skirt: bool,
    shoes: Material,
}

impl Outfit {
    fn draw(random: &mut Random, palette: &Palette) -> Self {
        let (skin, hair) = complexion(random);
        let cloth = |random: &mut Random, patterned: f32| {
            let (first, second) = palette.pair(random);
            let pattern = if random.chance(patterned) {
                random.pick(&[
                    Pattern::Stripes,
                    Pattern::Checker,
                    Pattern::Dots,
                    Pattern::Diagonal,
                    Pattern::Mottle,
                ])
            } else {
                Pattern::Plain
            };
            Material::matt(Texture {
                pattern,
                first,
                second,
                period: random.range(0.07, 0.16),
                seed: random.bits(),
            })
        };
        // What is close to the skin would look like skin.
        let dress = |random: &mut Random, patterned: f32| {
            let mut chosen = cloth(random, patterned);
            for _ in 0..8 {
                if !alike(chosen.texture.first, skin) {
                    break;
                }
                chosen = cloth(random, patterned);
            }
            chosen
        };
        let shirt = dress(random, 0.5);
        let trousers = dress(random, 0.15);
        let shoes = cloth(random, 0.0).glossy(0.1, 4);
        let hat = cloth(random, 0.1);
        Self {
            skin: Material::plain(skin).glossy(0.06, 4),
            hair: Material::plain(hair).glossy(0.12, 4),
            long_hair: random.chance(0.35),
            hat: random.chance(0.25).then_some(hat),
            shirt,
            long_sleeves: random.chance(0.5),
            trousers,
            shorts: random.chance(0.25),
            skirt: random.chance(0.2),
            shoes,
        }
    }
}

/// Creates a figure; also returns the height of its seat, if its pose needs one.
pub(super) fn figure(random: &mut Random, palette: &Palette, seat: bool) -> (Prop, f32) {
    let height = random.range(1.5, 1.9);
    let mut outfit = Outfit::draw(random, palette);
    // A skirt is a stiff cone here: it goes with standing, legs close together.
    outfit.skirt &= !seat;
    let mut pose = Pose::draw(random, seat);
    if outfit.skirt {
        for leg in &mut pose.legs {
            leg.swing = leg.swing.clamp(-0.25, 0.25);
            leg.knee = leg.knee.min(0.3);
        }
        pose.lean = pose.lean.min(0.12);
    }
    let mut body = Body {
        height,
        girth: random.range(0.9, 1.15),
        outfit,
        primitives: Vec::with_capacity(36),
    };
    body.build(&pose);
    // The lowest sole, or whatever else is lowest, touches the ground.
    let lowest = body
        .primitives
        .iter()
        .map(lowest_point)
        .fold(f32::MAX, f32::min);
    let lift = Frame::at(vec3(0.0, -lowest, 0.0));
    let primitives: Vec<Primitive> = body
        .primitives
        .into_iter()
        .map(|primitive| primitive.inside(&lift))
        .collect();
    let seat_height = -lowest - 0.075 * height;
    (Prop::new(Class::Figure, primitives), seat_height)
}

/// Height of the lowest point of a primitive; approximate for capsules and frusta.
fn lowest_point(primitive: &Primitive) -> f32 {
    let frame = &primitive.frame;
    match primitive.shape {
        Shape::Capsule { start, end, length } => {
            let tip = frame.point_to_parent(vec3(0.0, length, 0.0)).y - end;
            tip.min(frame.origin.y - start)
        }
        _ => {
            let bound = primitive.bound();
            bound.center.y - bound.radius
        }
    }
}

/// A figure under construction, with its hips at the origin.
struct Body {
    height: f32,
    /// Thickness relative to the usual.
    girth: f32,
    outfit: Outfit,
    primitives: Vec<Primitive>,
}

impl Body {
    fn build(&mut self, pose: &Pose) {
        let hips = Frame::at(Vec3::ZERO);
        let torso = hips
            .then(&Frame::yaw(pose.twist))
            .then(&Frame::roll(pose.tilt))
            .then(&Frame::pitch(pose.lean));
        self.torso(&hips, &torso);
        self.head(&torso, pose.head);
        for (index, side) in [1.0, -1.0].into_iter().enumerate() {
            self.arm(&torso, side, &pose.arms[index]);
            self.leg(&hips, side, &pose.legs[index]);
        }
    }

    fn add(&mut self, shape: Shape, frame: Frame, material: Material, part: Part) {
        self.primitives
            .push(Primitive::new(shape, frame, material).part(part as u8));
    }

    /// Adds a tapered limb between two points in `frame`, relative to the height.
    fn limb(
        &mut self,
        frame: &Frame,
        ends: [Vec3; 2],
        radii: [f32; 2],
        material: Material,
        part: Part,
    ) {
        let start = frame.point_to_parent(ends[0] * self.height);
        let end = frame.point_to_parent(ends[1] * self.height);
        let scale = self.height * self.girth;
        let shape = Shape::Capsule {
            start: radii[0] * scale,
            end: radii[1] * scale,
            length: (end - start).length(),
        };
        self.add(shape, Frame::along(start, end - start), material, part);
    }

    fn blob(&mut self, frame: &Frame, center: Vec3, radii: Vec3, material: Material, part: Part) {
        let radii = radii * self.height;
        let at = frame.then(&Frame::at(center * self.height));
        self.add(Shape::Ellipsoid { radii }, at, material, part);
    }

    fn torso(&mut self, hips: &Frame, torso: &Frame) {
        let (shirt, trousers) = (self.outfit.shirt, self.outfit.trousers);
        let wide = self.girth;
        let blob = |width: f32, height: f32, depth: f32| vec3(width * wide, height, depth * wide);
        // The seat of the trousers belongs to the torso, as the hips do in most annotations.
        self.blob(
            hips,
            vec3(0.0, 0.0, 0.0),
            blob(0.092, 0.072, 0.07),
            trousers,
            Part::Torso,
        );
        self.blob(
            torso,
            vec3(0.0, 0.095, 0.0),
            blob(0.085, 0.115, 0.062),
            shirt,
            Part::Torso,
        );
        self.blob(
            torso,
            vec3(0.0, 0.205, 0.0),
            blob(0.105, 0.125, 0.07),
            shirt,
            Part::Torso,
        );
        let shoulder = vec3(
            share::SHOULDER_HALF_WIDTH - 0.015,
            share::SHOULDER - 0.012,
            0.0,
        );
        let other = vec3(-shoulder.x, shoulder.y, 0.0);
        self.limb(torso, [other, shoulder], [0.04, 0.04], shirt, Part::Torso);
        let skin = self.outfit.skin;
        self.limb(
            torso,
            [vec3(0.0, 0.29, -0.005), vec3(0.0, 0.365, 0.008)],
            [0.036, 0.028],
            skin,
            Part::Torso,
        );
        if self.outfit.skirt {
            let half = 0.115 * self.height;
            let shape = Shape::Frustum {
                bottom: 0.15 * self.height,
                top: 0.08 * self.height * self.girth,
                half,
            };
            let at = hips.then(&Frame::at(vec3(0.0, 0.01 * self.height - half, 0.0)));
            self.add(shape, at, trousers, Part::UpperLegs);
        }
    }

    fn head(&mut self, torso: &Frame, turn: [f32; 2]) {
        let neck = torso
            .then(&Frame::at(vec3(
                0.0,
                0.36 * self.height,
                0.008 * self.height,
            )))
            .then(&Frame::yaw(turn[1]))
            .then(&Frame::pitch(turn[0]));
        let (skin, hair) = (self.outfit.skin, self.outfit.hair);
        let mut blob = |center: Vec3, radii: Vec3, material: Material| {
            self.blob(&neck, center, radii, material, Part::Head);
        };
        blob(vec3(0.0, 0.066, 0.0), vec3(0.05, 0.068, 0.058), skin);
        blob(vec3(0.0, 0.035, 0.014), vec3(0.036, 0.036, 0.036), skin);
        blob(vec3(0.0, 0.058, 0.058), vec3(0.008, 0.012, 0.012), skin);
        blob(vec3(0.0, 0.084, -0.012), vec3(0.056, 0.06, 0.059), hair);
        let dark = Material::plain(vec3(0.02, 0.015, 0.012)).glossy(0.4, 6);
        for side in [-1.0, 1.0] {
            blob(
                vec3(0.02 * side, 0.07, 0.049),
                vec3(0.0085, 0.007, 0.007),
                dark,
            );
            blob(
                vec3(0.05 * side, 0.06, 0.002),
                vec3(0.007, 0.014, 0.011),
                skin,
            );
        }
        if self.outfit.long_hair {
            let mut blob = |center: Vec3, radii: Vec3| {
                self.blob(&neck, center, radii, hair, Part::Head);
            };
            blob(vec3(0.0, 0.04, -0.03), vec3(0.055, 0.085, 0.04));
        }
        if let Some(hat) = self.outfit.hat {
            let scale = self.height;
            let brim = neck.then(&Frame::at(vec3(0.0, 0.108, -0.004) * scale));
            let flat = Shape::Frustum {
                bottom: 0.088 * scale,
                top: 0.084 * scale,
                half: 0.006 * scale,
            };
            self.add(flat, brim, hat, Part::Head);
            let crown = neck.then(&Frame::at(vec3(0.0, 0.132, -0.004) * scale));
            let shape = Shape::Frustum {
                bottom: 0.059 * scale,
                top: 0.048 * scale,
                half: 0.03 * scale,
            };
            self.add(shape, crown, hat, Part::Head);
        }
    }

    fn arm(&mut self, torso: &Frame, side: f32, pose: &ArmPose) {
        let shoulder = vec3(
            share::SHOULDER_HALF_WIDTH * side,
            share::SHOULDER - 0.015,
            0.0,
        );
        let upper = torso
            .then(&Frame::at(shoulder * self.height))
            .then(&Frame::roll(side * pose.spread))
            .then(&Frame::pitch(-pose.swing))
            .then(&Frame::yaw(-side * pose.twist));
        let elbow = vec3(0.0, -share::UPPER_ARM, 0.0);
        let lower = upper
            .then(&Frame::at(elbow * self.height))
            .then(&Frame::pitch(-pose.elbow));
        let (skin, shirt) = (self.outfit.skin, self.outfit.shirt);
        let sleeve = if self.outfit.long_sleeves {
            shirt
        } else {
            skin
        };
        self.limb(
            &upper,
            [Vec3::ZERO, elbow],
            [0.036, 0.027],
            shirt,
            Part::UpperArms,
        );
        let wrist = vec3(0.0, -share::LOWER_ARM, 0.0);
        let start = vec3(0.0, -0.004, 0.0);
        self.limb(
            &lower,
            [start, wrist],
            [0.0265, 0.018],
            sleeve,
            Part::LowerArms,
        );
        let hand = vec3(0.0, -share::LOWER_ARM - 0.034, 0.006);
        self.blob(
            &lower,
            hand,
            vec3(0.017, 0.042, 0.025),
            skin,
            Part::LowerArms,
        );
        let thumb = [
            vec3(0.0, -share::LOWER_ARM - 0.012, 0.018),
            vec3(-0.008 * side, -share::LOWER_ARM - 0.035, 0.032),
        ];
        self.limb(&lower, thumb, [0.009, 0.007], skin, Part::LowerArms);
    }

    fn leg(&mut self, hips: &Frame, side: f32, pose: &LegPose) {
        let upper = hips
            .then(&Frame::at(
                vec3(share::HIP_HALF_WIDTH * side, -0.02, 0.0) * self.height,
            ))
            .then(&Frame::roll(side * pose.spread))
            .then(&Frame::pitch(-pose.swing));
        let knee = vec3(0.0, -share::UPPER_LEG, 0.0);
        let lower = upper
            .then(&Frame::at(knee * self.height))
            .then(&Frame::pitch(pose.knee));
        let (skin, trousers) = (self.outfit.skin, self.outfit.trousers);
        let bare = self.outfit.shorts || self.outfit.skirt;
        let below = if bare { skin } else { trousers };
        // Under a skirt the thigh is thinner, or it would stick out at the hips.
        let (above, hip) = if self.outfit.skirt {
            (skin, 0.038)
        } else {
            (trousers, 0.054)
        };
        self.limb(
            &upper,
            [Vec3::ZERO, knee],
            [hip, 0.037],
            above,
            Part::UpperLegs,
        );
        let ankle = vec3(0.0, -share::LOWER_LEG, 0.0);
        let start = vec3(0.0, -0.006, 0.0);
        let radii = if bare { [0.035, 0.021] } else { [0.037, 0.028] };
        self.limb(&lower, [start, ankle], radii, below, Part::LowerLegs);
        // The foot keeps level where the ankle allows it.
        let level = (pose.swing - pose.knee).clamp(-0.5, 0.7);
        let foot = lower
            .then(&Frame::at(ankle * self.height))
            .then(&Frame::pitch(level))
            .then(&Frame::yaw(0.2 * side));
        let shoes = self.outfit.shoes;
        let ends = [vec3(0.0, -0.012, -0.012), vec3(0.0, -0.019, 0.085)];
        self.limb(&foot, ends, [0.03, 0.022], shoes, Part::LowerLegs);
    }
}

const _: () = assert!(share::HIP > share::UPPER_LEG + share::LOWER_LEG);
