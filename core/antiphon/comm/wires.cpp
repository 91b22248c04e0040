#include <antiphon/comm/wires.h>

#include <antiphon/base/beacon.h>
#include <antiphon/comm/nccl_table.h>

#include <exception>

namespace antiphon::comm {

Group::Wires::Wires(Place place, c10::Device device) : place_(std::move(place)), device_(device) {
  const beacon::Waiting waiting("meeting the other processes");
  store_ = guarded("meeting the other processes", [&] { return meet(); });
  gloo_ = guarded("connecting the processes", [&] { return connect_gloo(); });
}

Group::Wires::Wires(Place place, const Wires& all)
    : place_(std::move(place)), device_(all.device_), store_(all.store_), by_nccl_(all.by_nccl_) {
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

void Group::Wires::failed(const std::string& what, const std::string& reason) const {
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

c10::intrusive_ptr<c10d::Backend> Group::Wires::connect_gloo() {
  const auto options = c10d::ProcessGroupGloo::Options::create(place_.timeout);
  options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForInterface(place_.interface));
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
