#include <antiphon/comm/wires.h>

#include <antiphon/base/beacon.h>
#include <antiphon/base/log.h>
#include <antiphon/base/progress.h>
#include <antiphon/comm/leave.h>
#include <antiphon/comm/nccl_table.h>

#include <pthread.h>
#include <sched.h>

#include <cstdlib>
#include <exception>
#include <future>
#include <memory>
#include <string>

namespace antiphon::comm {
namespace {

// Where this process has met others, and the key of why one has left.
struct MetAt {
  c10::intrusive_ptr<c10d::Store> store;
  std::string left;
};

MetAt& met_at() {
  static MetAt place;
  return place;
}

// The first that leaves is the reason of all that follow. A question is answered once what was set before it is there.
void tell_why(const std::string& why) {
  const auto& [store, left] = met_at();
  try {
    if (store->check({left})) return;
    store->set(left, why);
    store->check({left});
  } catch (const std::exception&) {  // the store is gone, and with it the process that kept it
  }
}

}  // namespace

void leave(const Error& error) {
  if (!met_at().store) throw error;
  beacon::doing(kLeaving);
  finish_progress();
  log::error(fmt::format("{}: {}", to_string(error.kind()), error.what()));
  tell_why(error.message());
  std::_Exit(static_cast<int>(error.kind()));
}

Group::Wires::Wires(Place place, c10::Device device)
    : place_(std::move(place)), left_("antiphon left" + place_.name), device_(device) {
  const beacon::Waiting waiting("meeting the other processes");
  store_ = guarded("meeting the other processes", [&] { return meet(); });
  met_at() = {store_, left_};
  gloo_ = guarded("connecting the processes", [&] { return connect_gloo(); });
}

Group::Wires::Wires(Place place, const Wires& all)
    : place_(std::move(place)), left_(all.left_), device_(all.device_), store_(all.store_), by_nccl_(all.by_nccl_) {
  const beacon::Waiting waiting("connecting " + place_.name);
  gloo_ = guarded("connecting " + place_.name, [&] { return connect_gloo(); });
}

namespace {

constexpr const char* kConnectingGpus = "connecting the GPUs";

// NCCL's own words, which stand below c10d's.
std::string last_error_in(const std::string& reason) {
  constexpr std::string_view kMark = "Last error:";
  const auto at = reason.find(kMark);
  if (at == std::string::npos) return {};
  const auto begin = reason.find_first_not_of(" \n", at + kMark.size());
  if (begin == std::string::npos) return {};
  return " (" + reason.substr(begin, reason.find('\n', begin) - begin) + ")";
}

}  // namespace

// After an error the others may be gone: then NCCL must not wait for them.
Group::Wires::~Wires() {
  if (place_.name.find('/') == std::string::npos && met_at().store == store_) met_at() = {};
  for (auto& [lane, backend] : nccl_) {
    try {
      if (std::uncaught_exceptions() > 0)
        backend->abort();
      else
        backend->shutdown();
    } catch (const std::exception&) {  // nothing is lost: all that was exchanged has been waited for
    }
  }
}

std::string Group::Wires::why_another_left() const {
  try {
    if (store_ && store_->check({left_})) return store_->get_to_str(left_);
  } catch (const std::exception&) {  // the store is gone, and with it the process that kept it
  }
  return {};
}

void Group::Wires::failed(const std::string& what, const std::string& reason) const {
  if (const auto why = why_another_left(); !why.empty())
    fail(ErrorKind::memory,
         fmt::format("process {} of {}: {}: another has left: {}", place_.rank, place_.size, what, why),
         "look at what it says");
  fail(
      ErrorKind::distributed,
      fmt::format("process {} of {}: {}: {}{}", place_.rank, place_.size, what, reason.substr(0, reason.find('\n')),
                  last_error_in(reason)),
      what == kConnectingGpus
          ? "look at the output of the other processes; parallel.interface names the network, NCCL_DEBUG=INFO says more"
          : "look at the output of the other processes: one has ended, or is not there");
}

void Group::Wires::wait(const std::string& what, const Works& works) const {
  const beacon::Waiting waiting(what);
  guarded(what, [&] {
    for (const auto& work : works) work->wait();
  });
}

c10::intrusive_ptr<c10d::Store> Group::Wires::meet() {
  c10d::TCPStoreOptions options;
  options.isServer = place_.rank == 0 && place_.serves, options.numWorkers = place_.size,
  options.timeout = place_.timeout;
  if (options.isServer && place_.listener < 0) place_.listener = listen_at(place_.address, place_.port);
  if (options.isServer) options.masterListenFd = place_.listener;
  options.port = static_cast<uint16_t>(place_.port);
  return c10::make_intrusive<c10d::TCPStore>(place_.address, options);
}

c10::intrusive_ptr<c10d::Store> Group::Wires::store_of(const std::string& name) const {
  return c10::make_intrusive<c10d::PrefixStore>(name + place_.name, store_);
}

namespace {

// Gloo's thread for what arrives asks the kernel again and again while another thread holds a connection's lock. One of
// SCHED_BATCH does not take the processor of that thread when it wakes up; a thread that makes others hands that on.
// Measured in docs/decisions/0043.
std::shared_ptr<gloo::transport::Device> patient_device(const std::string& interface) {
  const auto made = [&] {
    const sched_param none{};
    (void)::pthread_setschedparam(::pthread_self(), SCHED_BATCH, &none);  // without it, it is only slower
    return c10d::ProcessGroupGloo::createDeviceForInterface(interface);
  };
  return std::async(std::launch::async, made).get();
}

}  // namespace

c10::intrusive_ptr<c10d::Backend> Group::Wires::connect_gloo() {
  const auto options = c10d::ProcessGroupGloo::Options::create(place_.timeout);
  options->devices.push_back(patient_device(place_.interface));
  return c10::make_intrusive<c10d::ProcessGroupGloo>(store_of("antiphon"), place_.rank, place_.size, options);
}

c10d::Backend& Group::Wires::backend(const at::Tensor& x, int lane) {
  if (!by_nccl(x)) return *gloo_;
  auto& found = nccl_[lane];
  if (found) return *found;
  const beacon::Waiting waiting(kConnectingGpus);
  const auto group = place_.name.empty() ? "all" : place_.name;
  const NcclMember member{place_.rank,      place_.size,
                          device_,          place_.timeout,
                          place_.interface, lane == kAll ? group : fmt::format("{} lane {}", group, lane),
                          lane == kAll,     place_.serves};
  found =
      guarded(kConnectingGpus, [&] { return nccl_table().connect(store_of(fmt::format("nccl{}.", lane)), member); });
  return *found;
}

}  // namespace antiphon::comm
