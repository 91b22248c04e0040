#include <antiphon/comm/place.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>

namespace antiphon::comm {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

int number(const char* name, int least, int most) {
  const auto text = variable(name);
  int value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc() || end != text.data() + text.size() || value < least || value > most)
    fail(ErrorKind::config,
         fmt::format("{} is '{}'; expected a whole number from {} to {}", name, text.substr(0, 40), least, most),
         "start the processes with torchrun, Slurm or the like, or unset RANK and WORLD_SIZE");
  return value;
}

sockaddr_in address_of(const std::string& address, int port) {
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_port = htons(static_cast<uint16_t>(port));
  if (inet_pton(AF_INET, address.c_str(), &where.sin_addr) != 1)
    fail(ErrorKind::config, fmt::format("'{}' is not an address of the form 127.0.0.1", address.substr(0, 80)),
         "give MASTER_ADDR by its number");
  return where;
}

constexpr int kMostProcesses = 1 << 20, kMostPorts = 65535, kMostFiles = 1 << 20;

// Who starts processes, and the variables that say which one this is.
struct Starter {
  const char *name, *rank, *size;
};
constexpr std::array kStarters{Starter{"torchrun", "RANK", "WORLD_SIZE"},
                               Starter{"srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS"},
                               Starter{"mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"}};

// The starter whose variables are set; nullptr: none is.
const Starter* starter() {
  for (const auto& one : kStarters) {
    const bool rank = !variable(one.rank).empty(), size = !variable(one.size).empty();
    if (&one == &kStarters[0] && rank != size)
      fail(ErrorKind::config,
           fmt::format("the environment has {} and not {}", rank ? one.rank : one.size, rank ? one.size : one.rank),
           "set both, as torchrun does, or none");
    if (rank && size) return &one;
  }
  return nullptr;
}

// From 20000 on, the same for the same text.
int port_of(const std::string& text) {
  constexpr unsigned kFirst = 20000, kPorts = 20000;
  unsigned hash = 0;
  for (const char letter : text) hash = hash * 31 + static_cast<unsigned char>(letter);
  return static_cast<int>(kFirst + hash % kPorts);
}

// Where the processes of a job meet, if MASTER_ADDR and MASTER_PORT do not say it.
void meet_by_job(const Starter& starter, Place& place) {
  const std::string name = starter.name;
  const bool one_machine = variable("OMPI_COMM_WORLD_LOCAL_SIZE") == variable(starter.size);
  const auto job =
      name == "srun" ? variable("SLURM_JOB_ID") + "." + variable("SLURM_STEP_ID") : variable("PMIX_NAMESPACE");
  if (name == "srun") place.address = first_host(variable("SLURM_STEP_NODELIST"));
  if (name == "mpirun" && one_machine) place.address = "127.0.0.1";
  if (name != "torchrun" && !job.empty()) place.port = port_of(job);
}

bool spans_machines(const Starter& starter) {
  const auto nodes = variable("SLURM_STEP_NUM_NODES"), local = variable("LOCAL_WORLD_SIZE");
  const std::string name = starter.name;
  if (name == "srun") return !nodes.empty() && nodes != "1";
  const auto of_mpi = variable("OMPI_COMM_WORLD_LOCAL_SIZE");
  if (name == "mpirun") return !of_mpi.empty() && of_mpi != variable(starter.size);
  return !local.empty() && local != variable(starter.size);
}

// By its number; the first that the name has.
std::string resolved(const std::string& host) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_family = AF_INET, hints.ai_socktype = SOCK_STREAM;
  if (const int problem = getaddrinfo(host.c_str(), nullptr, &hints, &found))
    fail(ErrorKind::config,
         fmt::format("'{}' is not an address that this machine knows: {}", host.substr(0, 80), gai_strerror(problem)),
         "give MASTER_ADDR by its number, e.g. 10.0.0.1");
  std::array<char, INET_ADDRSTRLEN> text{};
  inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(found->ai_addr)->sin_addr, text.data(), text.size());
  freeaddrinfo(found);
  return text.data();
}

}  // namespace

std::string first_host(const std::string& list) {
  const auto open = list.find('[');
  const auto end = list.find(',');
  if (open == std::string::npos || end < open) return list.substr(0, end);
  const auto number = list.find_first_of("-,]", open);
  return list.substr(0, open) + list.substr(open + 1, number - open - 1);
}

Place place_from_environment() {
  const auto* by = starter();
  if (!by) return {};
  Place place;
  place.address.clear();
  place.size = number(by->size, 1, kMostProcesses);
  place.rank = number(by->rank, 0, place.size - 1);
  if (place.size == 1) return {};
  meet_by_job(*by, place);
  if (!variable("MASTER_ADDR").empty()) place.address = variable("MASTER_ADDR");
  if (!variable("MASTER_PORT").empty()) place.port = number("MASTER_PORT", 1, kMostPorts);
  for (const auto& [missing, name] :
       {std::pair(place.address.empty(), "MASTER_ADDR"), std::pair(place.port == 0, "MASTER_PORT")})
    if (missing)
      fail(ErrorKind::config, fmt::format("the environment has {} and not {}", by->rank, name),
           "set it: the address of the machine of process 0, and a free port there");
  const auto name = place.address;
  place.address = resolved(name);
  if (name != place.address && spans_machines(*by) && place.address.starts_with("127."))
    fail(ErrorKind::config, fmt::format("'{}' is {} here, which other machines cannot reach", name, place.address),
         "give MASTER_ADDR by the number that the others know");
  if (place.rank == 0 && !variable(kListener).empty()) {
    place.listener = number(kListener, 0, kMostFiles);
    fcntl(place.listener, F_SETFD, FD_CLOEXEC);
    unsetenv(kListener);
  }
  place.serves = variable("TORCHELASTIC_USE_AGENT_STORE") != "True";
  place.name = variable("TORCHELASTIC_RESTART_COUNT");
  return place;
}

int local_rank() {
  for (const char* name : {"LOCAL_RANK", "SLURM_LOCALID", "OMPI_COMM_WORLD_LOCAL_RANK"})
    if (!variable(name).empty()) return number(name, 0, kMostProcesses);
  return 0;
}

int listen_at(const std::string& address, int& port) {
  const auto where = address_of(address, port);
  const int file = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int again = 1;
  sockaddr_in got{};
  socklen_t size = sizeof got;
  const bool good = file >= 0 && setsockopt(file, SOL_SOCKET, SO_REUSEADDR, &again, sizeof again) == 0 &&
                    bind(file, reinterpret_cast<const sockaddr*>(&where), sizeof where) == 0 &&
                    listen(file, SOMAXCONN) == 0 && getsockname(file, reinterpret_cast<sockaddr*>(&got), &size) == 0;
  if (!good) {
    const auto reason = std::string(std::strerror(errno));
    if (file >= 0) close(file);
    fail(ErrorKind::distributed, fmt::format("cannot listen at {}:{}: {}", address, port, reason),
         "choose another MASTER_PORT, or an address of this machine");
  }
  port = ntohs(got.sin_port);
  return file;
}

}  // namespace antiphon::comm
