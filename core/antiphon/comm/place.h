// Which of several processes this is, and where they meet.
#pragma once
#include <chrono>
#include <string>

namespace antiphon::comm {

struct Place {
  int rank = 0, size = 1;
  std::string address = "127.0.0.1";                             // of rank 0, by number
  int port = 0;                                                  // at which rank 0 listens
  std::string interface = "lo";                                  // through which processes exchange tensors
  std::chrono::milliseconds timeout = std::chrono::minutes(10);  // of meeting, and of every exchange
  // Of rank 0: a listening socket for the port, which it takes over; -1: it opens one at the address itself.
  int listener = -1;
};

// As torchrun says it: RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT; one process if none is set. Error(config) if some
// are missing or make no sense.
Place place_from_environment();

// Opens a socket that listens at this address; port 0: a free one, which is written into `port`. Error(distributed).
int listen_at(const std::string& address, int& port);

}  // namespace antiphon::comm
