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
  bool serves = true;     // rank 0 keeps the store at which they meet; else somebody else does (torchrun)
  std::string name = "";  // of this attempt among several at one store
};

// The number of an open socket for Place::listener, set by `antiphon launch`.
inline constexpr const char* kListener = "ANTIPHON_LISTENER";

// As the program that started the processes says it; one process if none did. torchrun: RANK, WORLD_SIZE, MASTER_ADDR,
// MASTER_PORT. srun (Slurm): SLURM_PROCID, SLURM_STEP_NUM_TASKS; mpirun (Open MPI): OMPI_COMM_WORLD_RANK,
// OMPI_COMM_WORLD_SIZE; with MASTER_ADDR and MASTER_PORT, or what follows from the job. Error(config) if some are
// missing or make no sense.
Place place_from_environment();

// The number of this process among those of its machine: LOCAL_RANK, SLURM_LOCALID, OMPI_COMM_WORLD_LOCAL_RANK; 0 if
// there is none.
int local_rank();

// The first of the hosts that Slurm lists: "node[03-17,20],other" -> "node03".
std::string first_host(const std::string& list);

// Opens a socket that listens at this address; port 0: a free one, which is written into `port`. Error(distributed).
int listen_at(const std::string& address, int& port);

}  // namespace antiphon::comm
