// The processes of a run as a grid, and which of them do what together.
#pragma once
#include <vector>

namespace antiphon::parallel {

// Rank = (((stage · copies + copy) · shards + shard) · contexts + context) · parts + part.
struct Mesh {
  int stages = 1, copies = 1, shards = 1, contexts = 1, parts = 1;

  int size() const { return stages * cells() * slices(); }
  // Processes that compute the same batches are a cell: one of each stage, context and part.
  int cells() const { return copies * shards; }
  int cell_size() const { return stages * slices(); }
  // Those of one stage, each with a slice of the tokens.
  int slices() const { return contexts * parts; }
  int cell_of(int rank) const { return rank / slices() % cells(); }
  int stage_of(int rank) const { return rank / (slices() * cells()); }
  int slice_of(int rank) const { return rank % slices(); }
  // Its number within its cell: stage · slices + slice.
  int number_of(int rank) const { return stage_of(rank) * slices() + slice_of(rank); }
  int rank_of(int cell, int number) const {
    return (number / slices() * cells() + cell) * slices() + number % slices();
  }
  // Of each cell, those that speak for it: the one that draws first, and the one that has the loss.
  int first_of(int cell) const { return rank_of(cell, 0); }
  int last_of(int cell) const { return rank_of(cell, (stages - 1) * slices()); }

  // Ranks, in order, of those that are with this one
  std::vector<int> cell(int rank) const;                                      // in its cell
  std::vector<int> slices_with(int rank) const;                               // and in its stage
  std::vector<int> parts_with(int rank) const;                                // and in its context
  std::vector<int> contexts_with(int rank) const;                             // in its stage, with the same part
  std::vector<int> stages_with(int rank) const;                               // of its cell, with the same slice
  std::vector<int> shards_with(int rank) const;                               // of its copy, with the same number
  std::vector<int> copies_with(int rank) const;                               // with the same number and shard
  std::vector<int> with_numbers(const std::vector<int>& numbers) const;       // of all cells
  std::vector<int> in_cell(int rank, const std::vector<int>& numbers) const;  // of its own
};

}  // namespace antiphon::parallel
