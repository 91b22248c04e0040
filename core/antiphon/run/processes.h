// The processes of a run, of which this is one.
#pragma once
#include <memory>

#include <antiphon/comm/group.h>
#include <antiphon/component/language_model.h>
#include <antiphon/component/update_rule.h>
#include <antiphon/parallel/mesh.h>
#include <antiphon/parallel/owners.h>
#include <antiphon/parallel/placement.h>
#include <antiphon/parallel/schedule.h>
#include <antiphon/run/run_config.h>
#include <antiphon/train/agreement.h>

namespace antiphon::run {

// As the environment says (comm::place_from_environment) and [parallel] allows. Messages of all but process 0 are cut
// down to warnings.
class Processes {
 public:
  // Looks at the environment.
  Processes();
  // Process `rank` of so many that there are not: what it would exchange is counted (comm::Group::dry).
  Processes(int rank, int size);
  ~Processes();
  bool several() const { return place_.size > 1; }
  int rank() const { return place_.rank; }
  // Meets the others if that is still to be done, and divides the batches of a step. Error(config) if these cannot be
  // divided, or for the device.
  void meet(const RunConfig& config, at::Device device);
  // Puts the parameters of a model, which has its values, where [parallel] says; the processes must outlive what it
  // gives. Error(config) if that cannot be.
  std::unique_ptr<parallel::Placement> place(model::Model& model, const RunConfig& config);
  // Of what is trained and placed so, who updates whole parameters, if the optimizer has to; else nullptr.
  std::unique_ptr<parallel::Owners> owners(model::Model& model, const parallel::Placement& placement,
                                           const UpdateRule& rule);
  // Error(config) unless processes that hold the same parts of parameters hold the same values of them, before place().
  void check_parts(model::Model& model);
  train::Agreement& agreement() { return *agreement_; }
  const data::RowShare& share() const { return share_; }
  const parallel::Mesh& mesh() const { return mesh_; }
  comm::Group* group() { return group_.get(); }
  comm::Group* cell() { return cell_; }    // of those that compute each batch together
  comm::Group* block() { return block_; }  // of those that have the model together
  // What the model is to be told of them; nullptr if there are none.
  const SharedBy* shared_by() const { return block_ ? &shared_by_ : nullptr; }
  // In which order this process computes its batches of a step, so many of them.
  std::vector<parallel::Pass> passes(int64_t batches) const;

 private:
  comm::Group* group_of(const std::string& name, const std::vector<int>& ranks);
  std::unique_ptr<parallel::Placement> placed(model::Model& model, const RunConfig& config);
  std::unique_ptr<parallel::Placement> leaving_constants(model::Model& model,
                                                         std::unique_ptr<parallel::Placement> placement);
  std::vector<parallel::Held> held_of(model::Model& model, bool in_all_blocks);

  comm::Place place_;
  parallel::Mesh mesh_;
  std::unique_ptr<comm::Group> group_;
  std::vector<std::unique_ptr<comm::Group>> groups_;  // of some of them, of this stage of training
  // Those that cut up a copy; with the same rows of it; that compute the same batches; that have the model together.
  comm::Group *shards_ = nullptr, *replicas_ = nullptr, *cell_ = nullptr, *block_ = nullptr;
  SharedBy shared_by_;
  train::ParallelOptions options_;
  std::unique_ptr<train::Agreement> agreement_;
  data::RowShare share_;
  int meetings_ = 0;                          // of stages
  std::vector<std::vector<int64_t>> places_;  // of processes that there are not (places_in_block)
};

// Hashes of what is trained, and whole in each process.
std::string trained_values(model::Model& model);

// Error(config) unless all processes have the same program, configuration, plugins, data, step to go on from and
// trained_values().
void check_same(comm::Group& group, const RunConfig& config, const data::Loader& loader, int64_t step,
                const std::string& values);

}  // namespace antiphon::run
