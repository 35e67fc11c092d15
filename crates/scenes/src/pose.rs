//! Poses of figures: the angles of their joints, in radians.

use super::random::Random;

/// One arm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ArmPose {
    /// Forward swing of the upper arm; 0 hangs down.
    pub(super) swing: f32,
    /// Lift of the upper arm to the side.
    pub(super) spread: f32,
    /// Rotation of the upper arm about its axis; positive values move the hand of a bent arm inwards.
    pub(super) twist: f32,
    /// Bend of the elbow.
    pub(super) elbow: f32,
}

/// One leg.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct LegPose {
    /// Forward swing of the upper leg; 0 stands.
    pub(super) swing: f32,
    /// Lift of the upper leg to the side.
    pub(super) spread: f32,
    /// Bend of the knee.
    pub(super) knee: f32,
}

/// A whole figure; arms and legs are left, then right.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pose {
    /// Forward lean of the torso.
    pub(super) lean: f32,
    /// Sideways lean of the torso.
    pub(super) tilt: f32,
    /// Turn of the torso above the hips.
    pub(super) twist: f32,
    /// Downward and sideways turn of the head.
    pub(super) head: [f32; 2],
    pub(super) arms: [ArmPose; 2],
    pub(super) legs: [LegPose; 2],
    /// Whether something of knee height must be under the hips.
    pub(super) seated: bool,
}

const fn arm(swing: f32, spread: f32, twist: f32, elbow: f32) -> ArmPose {
    ArmPose {
        swing,
        spread,
        twist,
        elbow,
    }
}

const fn leg(swing: f32, spread: f32, knee: f32) -> LegPose {
    LegPose {
        swing,
        spread,
        knee,
    }
}

const fn pose(lean: f32, arms: [ArmPose; 2], legs: [LegPose; 2]) -> Pose {
    Pose {
        lean,
        tilt: 0.0,
        twist: 0.0,
        head: [0.0, 0.0],
        arms,
        legs,
        seated: false,
    }
}

const HANGING: ArmPose = arm(0.05, 0.16, 0.2, 0.25);
const AKIMBO: ArmPose = arm(-0.25, 0.75, 1.35, 1.65);
const STRAIGHT: LegPose = leg(0.02, 0.07, 0.04);

/// Poses of standing and moving figures.
const POSES: [Pose; 13] = [
    // Standing.
    pose(0.0, [HANGING, HANGING], [STRAIGHT, leg(0.12, 0.1, 0.2)]),
    // Hands on the hips.
    pose(
        -0.03,
        [AKIMBO, AKIMBO],
        [leg(0.0, 0.16, 0.02), leg(0.05, 0.14, 0.08)],
    ),
    // One hand on the hip.
    pose(0.0, [AKIMBO, HANGING], [leg(0.15, 0.14, 0.25), STRAIGHT]),
    // Walking.
    pose(
        0.06,
        [arm(-0.5, 0.12, 0.1, 0.3), arm(0.45, 0.12, 0.1, 0.55)],
        [leg(0.5, 0.03, 0.12), leg(-0.38, 0.03, 0.4)],
    ),
    // Running.
    pose(
        0.22,
        [arm(-0.9, 0.2, 0.3, 1.5), arm(0.8, 0.15, 0.4, 1.6)],
        [leg(1.05, 0.04, 1.1), leg(-0.45, 0.04, 0.9)],
    ),
    // Waving.
    pose(
        -0.02,
        [HANGING, arm(0.0, 2.3, -0.9, 0.7)],
        [STRAIGHT, STRAIGHT],
    ),
    // Cheering.
    pose(
        -0.06,
        [arm(0.1, 2.55, 0.0, 0.35), arm(0.1, 2.55, 0.0, 0.35)],
        [leg(0.0, 0.22, 0.03), leg(0.0, 0.22, 0.03)],
    ),
    // Pointing.
    pose(
        0.02,
        [arm(1.45, 0.15, 0.0, 0.1), AKIMBO],
        [leg(0.2, 0.08, 0.15), STRAIGHT],
    ),
    // Arms crossed.
    pose(
        -0.02,
        [arm(0.45, 0.12, 1.15, 1.75), arm(0.35, 0.12, 1.15, 1.7)],
        [leg(0.0, 0.12, 0.02), leg(0.08, 0.12, 0.12)],
    ),
    // Arms wide.
    pose(
        0.0,
        [arm(0.0, 1.5, 0.0, 0.1), arm(0.0, 1.5, 0.0, 0.1)],
        [leg(0.0, 0.2, 0.03), leg(0.0, 0.2, 0.03)],
    ),
    // A lunge, one arm up.
    pose(
        0.12,
        [arm(1.9, 0.3, 0.0, 0.3), arm(-0.7, 0.25, 0.0, 0.3)],
        [leg(0.95, 0.06, 0.95), leg(-0.55, 0.08, 0.2)],
    ),
    // Crouching.
    pose(
        0.45,
        [arm(1.0, 0.15, 0.4, 0.8), arm(0.9, 0.2, 0.4, 0.9)],
        [leg(1.75, 0.25, 2.1), leg(1.6, 0.25, 2.0)],
    ),
    // A dancer on one leg.
    pose(
        0.05,
        [arm(0.2, 2.6, 0.0, 0.5), arm(0.3, 1.4, 0.0, 0.3)],
        [leg(0.0, 0.03, 0.05), leg(0.9, 0.75, 1.9)],
    ),
];

/// Poses of figures on a seat.
const SEATED: [Pose; 3] = [
    // Hands on the knees.
    pose(
        0.12,
        [arm(0.55, 0.12, 0.15, 0.7), arm(0.55, 0.12, 0.15, 0.7)],
        [leg(1.5, 0.12, 1.5), leg(1.5, 0.12, 1.5)],
    ),
    // Leaning forward.
    pose(
        0.5,
        [arm(1.0, 0.05, 0.5, 0.9), arm(1.0, 0.05, 0.5, 1.0)],
        [leg(1.45, 0.2, 1.35), leg(1.45, 0.2, 1.55)],
    ),
    // Leaning back, one leg stretched.
    pose(
        -0.2,
        [arm(-0.55, 0.25, 0.0, 0.1), arm(-0.55, 0.25, 0.0, 0.1)],
        [leg(1.4, 0.1, 0.75), leg(1.5, 0.12, 1.5)],
    ),
];

impl Pose {
    /// Draws a pose, mirrored or not, with small random changes of every joint; seated poses only if `seat`.
    pub(super) fn draw(random: &mut Random, seat: bool) -> Self {
        let mut pose = if seat {
            random.pick(&SEATED)
        } else {
            random.pick(&POSES)
        };
        pose.seated = seat;
        if random.chance(0.5) {
            pose.arms.swap(0, 1);
            pose.legs.swap(0, 1);
        }
        pose.lean += random.around(0.06);
        pose.tilt += random.around(0.06);
        pose.twist += random.around(0.2);
        pose.head = [random.range(-0.15, 0.25), random.around(0.55)];
        for arm in &mut pose.arms {
            arm.swing += random.around(0.15);
            arm.spread = (arm.spread + random.around(0.08)).max(0.08);
            arm.twist += random.around(0.15);
            arm.elbow = (arm.elbow + random.around(0.15)).max(0.03);
        }
        for leg in &mut pose.legs {
            leg.swing += random.around(0.06);
            leg.spread = (leg.spread + random.around(0.03)).max(0.02);
            leg.knee = (leg.knee + random.around(0.06)).max(0.02);
        }
        pose
    }
}
