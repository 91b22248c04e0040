// The processes of a run, of which this is one.
#pragma once
#include <memory>

#include <antiphon/comm/group.h>
#include <antiphon/run/run_config.h>
#include <antiphon/train/agreement.h>

namespace antiphon::run {

// As the environment says (comm::place_from_environment) and [parallel] allows. Messages of all but process 0 are cut
// down to warnings.
class Processes {
 public:
  // Looks at the environment.
  Processes();
  ~Processes();
  bool several() const { return place_.size > 1; }
  int rank() const { return place_.rank; }
  // Meets the others if that is still to be done, and divides the batches of a step. Error(config) if these cannot be
  // divided, or for the device.
  void meet(const RunConfig& config, at::Device device);
  train::Agreement& agreement() { return *agreement_; }
  const data::RowShare& share() const { return share_; }
  comm::Group* group() { return group_.get(); }

 private:
  comm::Place place_;
  std::unique_ptr<comm::Group> group_;
  std::unique_ptr<train::Agreement> agreement_;
  data::RowShare share_;
};

// Error(config) unless all processes have the same program, configuration, plugins, data, step to go on from and
// trained parameters.
void check_same(comm::Group& group, const RunConfig& config, const data::Loader& loader, int64_t step,
                model::Model& model);

}  // namespace antiphon::run
