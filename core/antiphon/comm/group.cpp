#include <antiphon/comm/group.h>

#include <ATen/ATen.h>
#include <fmt/format.h>
#define USE_C10D_GLOO 1  // else the header is empty
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <antiphon/base/beacon.h>
#include <antiphon/base/error.h>
#include <antiphon/base/mixed.h>

namespace antiphon::comm {

// What c10d makes of a place.
class Group::Wires {
 public:
  explicit Wires(Place place) : place_(std::move(place)) {
    const beacon::Waiting waiting("meeting the other processes");
    store_ = guarded("meeting the other processes", [&] { return meet(); });
    backend_ = guarded("connecting the processes", [&] { return connect(); });
  }

  template <class Body>
  auto guarded(const std::string& what, const Body& body) const -> decltype(body()) {
    try {
      return body();
    } catch (const Error&) {
      throw;
    } catch (const std::exception& error) {
      const std::string text = error.what();
      fail(ErrorKind::distributed,
           fmt::format("process {} of {}: {}: {}", place_.rank, place_.size, what, text.substr(0, text.find('\n'))),
           "look at the output of the other processes: one has ended, or is not there");
    }
  }

  void wait(const std::string& what, const std::vector<c10::intrusive_ptr<c10d::Work>>& works) const {
    const beacon::Waiting waiting(what);
    guarded(what, [&] {
      for (const auto& work : works) work->wait();
    });
  }

  c10d::Backend& backend() { return *backend_; }

 private:
  c10::intrusive_ptr<c10d::Store> meet() {
    c10d::TCPStoreOptions options;
    options.isServer = place_.rank == 0 && place_.serves, options.numWorkers = place_.size,
    options.timeout = place_.timeout;
    if (options.isServer && place_.listener < 0) place_.listener = listen_at(place_.address, place_.port);
    if (options.isServer) options.masterListenFd = place_.listener;
    options.port = static_cast<uint16_t>(place_.port);
    return c10::make_intrusive<c10d::TCPStore>(place_.address, options);
  }

  c10::intrusive_ptr<c10d::Backend> connect() {
    const auto options = c10d::ProcessGroupGloo::Options::create(place_.timeout);
    options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForInterface(place_.interface));
    const auto store = c10::make_intrusive<c10d::PrefixStore>("antiphon" + place_.name, store_);
    return c10::make_intrusive<c10d::ProcessGroupGloo>(store, place_.rank, place_.size, options);
  }

  Place place_;
  c10::intrusive_ptr<c10d::Store> store_;
  c10::intrusive_ptr<c10d::Backend> backend_;
};

namespace {

at::Tensor bytes_of(const at::Tensor& x) { return x.view(-1).view(at::kByte); }

}  // namespace

Group::Group(const Place& place) : place_(place), wires_(std::make_unique<Wires>(place)) {}

Group::~Group() = default;

void Group::enter(const char* operation, const at::Tensor& x) {
  for (const char* letter = operation; *letter; ++letter) ledger_ = mixed(ledger_, static_cast<uint64_t>(*letter));
  ledger_ = mixed(mixed(ledger_, static_cast<uint64_t>(x.scalar_type())), static_cast<uint64_t>(x.numel()));
}

void Group::sum(const at::Tensor& x) { begin_sum(x)(); }

std::function<void()> Group::begin_sum(const at::Tensor& x) {
  enter("sum", x);
  std::vector<at::Tensor> all{x};
  const auto work = wires_->guarded("sum", [&] { return wires_->backend().allreduce(all); });
  return [this, work] { wires_->wait("sum", {work}); };
}

void Group::largest(const at::Tensor& x) {
  enter("largest", x);
  std::vector<at::Tensor> all{x};
  c10d::AllreduceOptions options;
  options.reduceOp = c10d::ReduceOp::MAX;
  wires_->wait("largest", {wires_->backend().allreduce(all, options)});
}

void Group::broadcast(const at::Tensor& x, int root) {
  enter("broadcast", x);
  std::vector<at::Tensor> all{x};
  c10d::BroadcastOptions options;
  options.rootRank = root;
  wires_->wait("broadcast", {wires_->backend().broadcast(all, options)});
}

// Sends and receives pieces, each pair of processes at once; a piece without bytes is not sent. Gloo's own gather and
// reduce-scatter take two to four times as long (pytorch issue 118911).
void Group::swap(const char* operation, const std::vector<at::Tensor>& to, const std::vector<at::Tensor>& from) {
  auto& backend = wires_->backend();
  std::vector<c10::intrusive_ptr<c10d::Work>> works;
  wires_->guarded(operation, [&] {
    for (int step = 1; step < size(); ++step) {
      const int next = (rank() + step) % size(), last = (rank() - step + size()) % size();
      std::vector<at::Tensor> out{bytes_of(to[static_cast<size_t>(next)])},
          in{bytes_of(from[static_cast<size_t>(last)])};
      if (in[0].numel() > 0) works.push_back(backend.recv(in, last, 0));
      if (out[0].numel() > 0) works.push_back(backend.send(out, next, 0));
    }
  });
  const auto own = static_cast<size_t>(rank());
  from[own].copy_(to[own]);
  wires_->wait(operation, works);
}

void Group::gather(const at::Tensor& own, const at::Tensor& all) {
  enter("gather", own);
  swap("gather", std::vector<at::Tensor>(static_cast<size_t>(size()), own), all.unbind());
}

void Group::scatter_sum(const at::Tensor& all, const at::Tensor& own) {
  enter("scatter_sum", own);
  const auto received = at::empty_like(all);
  const auto from = received.unbind();
  swap("scatter_sum", all.unbind(), from);
  const auto wide =
      at::promote_types(all.scalar_type(), at::isFloatingType(all.scalar_type()) ? at::kFloat : at::kLong);
  auto total = from[0].to(wide, /*non_blocking=*/false, /*copy=*/true);
  for (size_t i = 1; i < from.size(); ++i) total.add_(from[i]);
  own.copy_(total);
}

at::Tensor Group::exchange(const at::Tensor& rows, const std::vector<int64_t>& to, const std::vector<int64_t>& from) {
  enter("exchange", rows.narrow(0, 0, 0));
  auto sizes = rows.sizes().vec();
  sizes[0] = 0;
  for (const auto n : from) sizes[0] += n;
  const auto received = at::empty(sizes, rows.options());
  swap("exchange", rows.split_with_sizes(to), received.split_with_sizes(from));
  return received;
}

void Group::wait_for_all() { wires_->wait("wait_for_all", {wires_->backend().barrier()}); }

}  // namespace antiphon::comm
