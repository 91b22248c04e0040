// Parameters that several processes of a block hold alike: of a block that they compute together the norms, of a
// pipeline the embeddings that are the head as well, and what every process has whole.
#pragma once
#include <functional>
#include <vector>

#include <antiphon/comm/group.h>
#include <antiphon/component/module.h>

namespace antiphon::parallel {

struct Alike {
  std::vector<int> numbers;  // of those processes in the block, in order; the first counts for all
  std::vector<Parameter> parameters;
};

// The parameters that this process has values of, by who has the same: a parameter without a box all have, of one with
// a box those who have the same box. In an order that is the same in all processes of the block, which name the same
// parameters in the same order. `block`: nullptr: it is this process alone.
std::vector<Alike> alike(const std::vector<Parameter>& parameters, comm::Group* block);

// The same without asking the others. `of_block`: places_of() of the parameters in each process of the block; `number`:
// which this one is.
std::vector<int64_t> places_of(const std::vector<Parameter>& parameters);
// places_of() what shard `shard` of `shards` has of the parameters: `whole` before they are cut up (parallel/unit.h),
// of which a process has `places`.
std::vector<int64_t> places_of_rows(const std::vector<Parameter>& whole, const std::vector<int64_t>& places, int shard,
                                    int shards);
std::vector<Alike> alike(const std::vector<Parameter>& parameters, const std::vector<std::vector<int64_t>>& of_block,
                         int number);

}  // namespace antiphon::parallel
