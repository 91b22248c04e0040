#include <antiphon/parallel/host_copies.h>

#include <ATen/ATen.h>
#include <c10/core/Event.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <utility>
#include <vector>

namespace antiphon::parallel {

struct HostCopies::Stream {
  explicit Stream(c10::Device device)
      : streams(device.type()), own(streams.getStreamFromGlobalPool(device)), last(device.type()) {}
  c10::Stream current() const { return streams.getStream(own.device()); }
  c10::impl::VirtualGuardImpl streams;
  c10::Stream own;
  c10::Event last;
  std::vector<std::pair<at::Tensor, at::Tensor>> under_way;
};

HostCopies::HostCopies() = default;
HostCopies::~HostCopies() = default;

void HostCopies::begin(const at::Tensor& to, const at::Tensor& from) {
  const auto device = from.is_cpu() ? to.device() : from.device();
  if (device.is_meta()) return;
  auto target = to;
  if (!device.is_cuda()) {
    target.copy_(from);
    return;
  }
  if (!stream_) stream_ = std::make_unique<Stream>(device);
  c10::Event before(device.type());
  before.record(stream_->current());
  before.block(stream_->own);
  const c10::StreamGuard guard(stream_->own);
  target.copy_(from, /*non_blocking=*/true);
  stream_->last.record(stream_->own);
  stream_->under_way.emplace_back(to, from);
}

void HostCopies::wait_on_device() {
  if (!stream_ || stream_->under_way.empty()) return;
  stream_->last.block(stream_->current());
  stream_->under_way.clear();
}

void HostCopies::wait() {
  if (!stream_) return;
  stream_->last.synchronize();
  stream_->under_way.clear();
}

}  // namespace antiphon::parallel
