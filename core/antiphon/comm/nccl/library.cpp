// libantiphon_nccl.so: c10d's NCCL backend, and its one entry point.
#include <ATen/cuda/CUDAContext.h>
#include <antiphon/comm/nccl_table.h>
#include <fmt/format.h>
#define USE_C10D_NCCL 1  // else the header is empty
#include <torch/csrc/distributed/c10d/FlightRecorder.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

#include <cstdlib>
#include <fstream>

namespace antiphon::comm {
namespace {

// LibTorch calls it in a thread of its own when an exchange is late, before it ends the process. What it gives is a
// pickle; the same as JSON can be read by people.
class Record : public c10d::DebugInfoWriter {
 public:
  explicit Record(const std::string& file) : DebugInfoWriter(file, 0) { filename_ = file; }
  void write(const std::string& /*pickle*/) override {
    std::ofstream(filename_) << c10d::dump_nccl_trace_json(/*includeCollectives=*/true, /*onlyActive=*/false) << '\n';
    fmt::print(stderr, "an exchange between GPUs is late; what was under way is in {}\n", filename_);
  }
};

void record_into(const std::string& file) { c10d::DebugInfoWriter::registerWriter(std::make_unique<Record>(file)); }

// NCCL tells apart what has another NCCL_HOSTID, whichever machine it is on.
std::string identity(c10::Device device) {
  const auto* properties = at::cuda::getDeviceProperties(device.index());
  std::string text;
  for (const char byte : properties->uuid.bytes) text += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  const char* host = std::getenv("NCCL_HOSTID");
  return text + (host ? host : "");
}

// What a user has set stays. NCCL_LAUNCH_ORDER_IMPLICIT: several groups of one process begin in the order in which the
// host says so, without which two of them can wait for each other (ROCm/rccl issue 2191).
void set_environment(const std::string& interface) {
  const auto set = [](const char* name, const std::string& value) { setenv(name, value.c_str(), /*overwrite=*/0); };
  set("TORCH_NCCL_ASYNC_ERROR_HANDLING", "3");  // ends the process without cleaning up
  set("TORCH_NCCL_DUMP_ON_TIMEOUT", "1");
  set("TORCH_FR_BUFFER_SIZE", "2000");
  set("TORCH_NCCL_LOG_CPP_STACK_ON_UNCLEAN_SHUTDOWN", "0");
  set("NCCL_LAUNCH_ORDER_IMPLICIT", "1");
  set("NCCL_SOCKET_IFNAME", "=" + interface);
}

c10::intrusive_ptr<c10d::Backend> connect(const c10::intrusive_ptr<c10d::Store>& store, const NcclMember& member) {
  set_environment(member.interface);
  const auto options = c10d::ProcessGroupNCCL::Options::create();
  options->timeout = member.timeout;
  options->group_name = member.name;
  auto backend = c10::make_intrusive<c10d::ProcessGroupNCCL>(store, member.rank, member.size, options);
  backend->setBoundDeviceId(member.device);
  // All at once, and not when one of them first has something for another.
  if (member.all_at_once) backend->eagerConnectSingleDevice(member.device);
  return backend;
}

}  // namespace
}  // namespace antiphon::comm

extern "C" __attribute__((visibility("default"))) const void* antiphon_nccl_table() {
  static const antiphon::comm::NcclTable table{antiphon::comm::kNcclTableVersion, antiphon::comm::identity,
                                               antiphon::comm::connect, antiphon::comm::record_into};
  return &table;
}
