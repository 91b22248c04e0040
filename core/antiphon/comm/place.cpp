#include <antiphon/comm/place.h>

#include <arpa/inet.h>
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
    fail(ErrorKind::config, fmt::format("'{}' is no address of the form 127.0.0.1", address.substr(0, 80)),
         "give MASTER_ADDR by its number");
  return where;
}

}  // namespace

Place place_from_environment() {
  constexpr std::array names{"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"};
  std::string there, missing;
  for (const char* name : names) (variable(name).empty() ? missing : there) += std::string(" ") + name;
  if (there.empty()) return {};
  if (!missing.empty())
    fail(ErrorKind::config, fmt::format("the environment has{} and not{}", there, missing),
         "set all four, as torchrun does, or none");
  constexpr int kMostProcesses = 1 << 20, kMostPorts = 65535;
  Place place;
  place.size = number("WORLD_SIZE", 1, kMostProcesses);
  place.rank = number("RANK", 0, place.size - 1);
  place.port = number("MASTER_PORT", 1, kMostPorts);
  place.address = variable("MASTER_ADDR");
  address_of(place.address, place.port);
  return place;
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
