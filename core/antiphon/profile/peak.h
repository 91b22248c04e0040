// The machine's peak speed in one number format.
#pragma once
#include <ATen/core/Tensor.h>

namespace antiphon::profile {

// Floating point operations a second of the quickest of some square matrix products (1024 and 2048 wide, on a device
// other than the CPU 4096 and 8192), with the current number of threads. Takes about a second; draws no random numbers.
double measured_peak(at::Device device, at::ScalarType dtype);

// Waits until the device has done what it was asked for; nothing to wait for on the CPU.
void synchronize(at::Device device);

}  // namespace antiphon::profile
