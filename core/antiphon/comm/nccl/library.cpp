// libantiphon_nccl.so: c10d's NCCL backend, and its one entry point.
#include <ATen/cuda/CUDAContext.h>
#include <antiphon/comm/nccl_table.h>
#include <fmt/format.h>
#define USE_C10D_NCCL 1  // else the header is empty
#include <torch/csrc/distributed/c10d/FlightRecorder.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>

namespace antiphon::comm {
namespace {

// LibTorch calls it in a thread of its own when an exchange is late, before it ends the process. What it gives is a
// pickle; the same as JSON can be read by people.
class Record : public c10d::DebugInfoWriter {
 public:
  Record() : DebugInfoWriter("", 0) {}
  void write(const std::string& /*pickle*/) override {
    const std::lock_guard lock(mutex);
    std::error_code ignored;  // the failed write says it
    std::filesystem::create_directories(std::filesystem::path(file).parent_path(), ignored);
    std::ofstream out(file);
    out << c10d::dump_nccl_trace_json(/*includeCollectives=*/true, /*onlyActive=*/false) << '\n' << std::flush;
    fmt::print(stderr, "an exchange between GPUs is late; what was under way {} {}\n",
               out ? "is in" : "cannot be written into", file);
  }

  static inline std::mutex mutex;
  static inline std::string file;
};

// LibTorch takes one writer, for good; where it writes to may change from stage to stage.
void record_into(const std::string& file) {
  static const bool registered = [] {
    c10d::DebugInfoWriter::registerWriter(std::make_unique<Record>());
    return true;
  }();
  const std::lock_guard lock(Record::mutex);
  if (registered) Record::file = file;
}

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
void set_environment(const NcclMember& member) {
  const auto set = [](const char* name, const std::string& value) { setenv(name, value.c_str(), /*overwrite=*/0); };
  set("TORCH_NCCL_ASYNC_ERROR_HANDLING", "3");  // ends the process without cleaning up
  // The wish for records is left in the store, where processes that are started again would find it.
  set("TORCH_NCCL_DUMP_ON_TIMEOUT", member.own_store ? "1" : "0");
  set("TORCH_FR_BUFFER_SIZE", "2000");
  set("TORCH_NCCL_LOG_CPP_STACK_ON_UNCLEAN_SHUTDOWN", "0");
  set("NCCL_LAUNCH_ORDER_IMPLICIT", "1");
  set("NCCL_SOCKET_IFNAME", "=" + member.interface);
}

c10::intrusive_ptr<c10d::Backend> connect(const c10::intrusive_ptr<c10d::Store>& store, const NcclMember& member) {
  set_environment(member);
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
