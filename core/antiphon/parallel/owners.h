// Parameters that are cut up among processes and updated whole, each by one of these, its owner: for optimizers that
// look at whole matrices. Owners hold the optimizer's state, so that it is divided as the parameters are.
#pragma once
#include <deque>
#include <functional>
#include <vector>

#include <antiphon/comm/group.h>
#include <antiphon/component/module.h>

namespace antiphon::parallel {

class Owners {
 public:
  // `own`: what this process has of the trained parameters, in the same order in all processes of the group, which hold
  // one copy of them; both must outlive it. The largest share of an owner is near the average. `places`: places_of()
  // what each process has; none: they are asked.
  Owners(const std::vector<Parameter>& own, comm::Group& group, const std::vector<std::vector<int64_t>>& places = {});
  // What this process updates: parameters that are not cut up, and whole ones that it owns, each with a box around all
  // of it. They have values.
  const std::vector<Parameter>& parameters() const { return parameters_; }
  // To the owners, values if the pieces got others, and the sums of gradients, which are taken. From them, new values.
  void gather_values();
  void gather_gradients();
  void return_values();

 private:
  struct Piece {
    std::vector<int64_t> begin, sizes;
    bool is_first = true;  // of the processes that hold this piece; it counts for all
  };
  struct Cut {
    Parameter own;
    std::vector<Piece> pieces;  // of each process; no values: one that has none
    int owner = 0;
    at::Tensor* whole = nullptr;  // in the owner
  };
  std::vector<Cut> cut_up(const std::vector<Parameter>& own, const std::vector<std::vector<int64_t>>& places) const;
  void choose_owners();
  void gather(const std::function<at::Tensor(const Cut&)>& of_piece,
              const std::function<at::Tensor(const Cut&)>& whole);
  comm::Group& group_;
  std::vector<Cut> cuts_;
  std::deque<at::Tensor> whole_;
  std::vector<Parameter> parameters_;
};

}  // namespace antiphon::parallel
