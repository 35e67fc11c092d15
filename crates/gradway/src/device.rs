//! Choosing a backend at run time from those compiled in.

use std::fmt;
use std::str::FromStr;

use gradway_kernels::TrainBackend;

/// The name of a device on the command line: `cpu`, `cuda:0`, `vulkan:0`, ...
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceName {
    kind: Kind,
    index: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Cpu,
    Cuda,
    Vulkan,
    Wgpu,
    Metal,
    Rocm,
}

const KINDS: [(&str, Kind); 6] = [
    ("cpu", Kind::Cpu),
    ("cuda", Kind::Cuda),
    ("vulkan", Kind::Vulkan),
    ("wgpu", Kind::Wgpu),
    ("metal", Kind::Metal),
    ("rocm", Kind::Rocm),
];

/// The error that a device cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// Not a device name.
    #[error("unknown device `{0}`; expected cpu, cuda:N, vulkan:N, wgpu:N, metal:N or rocm:N")]
    Unknown(String),
    /// The backend is not compiled into this build.
    #[error("this build has no `{0}` backend; build with `--features {0}`")]
    NotCompiled(&'static str),
}

impl Default for DeviceName {
    /// Returns the first device compiled in, the CPU before all others.
    fn default() -> Self {
        let compiled = KINDS.iter().find(|(_, kind)| kind.compiled());
        Self {
            kind: compiled.map_or(Kind::Cpu, |(_, kind)| *kind),
            index: 0,
        }
    }
}

impl FromStr for DeviceName {
    type Err = DeviceError;

    fn from_str(name: &str) -> Result<Self, DeviceError> {
        let unknown = || DeviceError::Unknown(name.to_string());
        let (kind, index) = name.split_once(':').unwrap_or((name, "0"));
        let (_, kind) = KINDS
            .iter()
            .find(|(known, _)| *known == kind)
            .ok_or_else(unknown)?;
        let index = index.parse().map_err(|_| unknown())?;
        if !kind.compiled() {
            return Err(DeviceError::NotCompiled(kind.name()));
        }
        Ok(Self { kind: *kind, index })
    }
}

impl DeviceName {
    /// Whether it is the CPU, whose memory is counted.
    pub fn is_cpu(self) -> bool {
        self.kind == Kind::Cpu
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Cpu => formatter.write_str("cpu"),
            kind => write!(formatter, "{}:{}", kind.name(), self.index),
        }
    }
}

impl Kind {
    fn name(self) -> &'static str {
        KINDS[self as usize].0
    }

    fn compiled(self) -> bool {
        match self {
            Self::Cpu => cfg!(feature = "cpu"),
            Self::Cuda => cfg!(feature = "cuda"),
            Self::Vulkan => cfg!(feature = "vulkan"),
            Self::Wgpu => cfg!(feature = "wgpu"),
            Self::Metal => cfg!(feature = "metal"),
            Self::Rocm => cfg!(feature = "rocm"),
        }
    }
}

/// A job that is generic over the backend of a device.
pub trait Job {
    /// The result of the job.
    type Output;

    /// Runs the job.
    fn run<B: TrainBackend>(self, device: B::Device) -> Self::Output;
}

/// Runs a job on the autodiff backend of a device.
///
/// # Errors
///
/// [`DeviceError::NotCompiled`] if the backend is not compiled into this build.
#[allow(unused_variables)]
pub fn run_on<J: Job>(name: DeviceName, job: J) -> Result<J::Output, DeviceError> {
    #[allow(unused_imports)]
    use burn::backend::Autodiff;
    #[cfg(any(feature = "vulkan", feature = "wgpu", feature = "metal"))]
    use burn::backend::wgpu::{Wgpu, WgpuDevice, graphics};

    #[cfg(any(feature = "vulkan", feature = "wgpu", feature = "metal"))]
    let graphics_device = match name.index {
        0 => WgpuDevice::DefaultDevice,
        index => WgpuDevice::DiscreteGpu(index - 1),
    };
    match name.kind {
        #[cfg(feature = "cpu")]
        Kind::Cpu => Ok(job.run::<Autodiff<burn::backend::Flex>>(Default::default())),
        #[cfg(feature = "cuda")]
        Kind::Cuda => {
            let device = burn::backend::cuda::CudaDevice::new(name.index);
            Ok(job.run::<Autodiff<burn::backend::Cuda>>(device))
        }
        #[cfg(feature = "vulkan")]
        Kind::Vulkan => {
            set_up::<graphics::Vulkan>(&graphics_device);
            Ok(job.run::<Autodiff<Wgpu<f32, i32, u8>>>(graphics_device))
        }
        #[cfg(feature = "metal")]
        Kind::Metal => {
            set_up::<graphics::Metal>(&graphics_device);
            Ok(job.run::<Autodiff<Wgpu<f32, i32, u8>>>(graphics_device))
        }
        #[cfg(feature = "wgpu")]
        Kind::Wgpu => {
            set_up::<graphics::AutoGraphicsApi>(&graphics_device);
            Ok(job.run::<Autodiff<Wgpu<f32, i32, u32>>>(graphics_device))
        }
        #[cfg(feature = "rocm")]
        Kind::Rocm => {
            let device = burn::backend::rocm::RocmDevice::new(name.index);
            Ok(job.run::<Autodiff<burn::backend::Rocm>>(device))
        }
        #[allow(unreachable_patterns)]
        kind => Err(DeviceError::NotCompiled(kind.name())),
    }
}

/// Opens a graphics device with its API, once: the runtime panics if it is opened twice.
#[cfg(any(feature = "vulkan", feature = "wgpu", feature = "metal"))]
fn set_up<G: burn::backend::wgpu::graphics::GraphicsApi>(device: &burn::backend::wgpu::WgpuDevice) {
    use std::sync::{Mutex, PoisonError};

    use burn::backend::wgpu::{RuntimeOptions, WgpuDevice, init_setup};

    static OPEN: Mutex<Vec<WgpuDevice>> = Mutex::new(Vec::new());
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    if !open.contains(device) {
        init_setup::<G>(device, RuntimeOptions::default());
        open.push(device.clone());
    }
}
