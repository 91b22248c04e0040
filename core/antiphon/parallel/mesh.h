// The processes of a run as a grid, and which of them do what together.
#pragma once
#include <vector>

namespace antiphon::parallel {

// Rank = ((((stage · copies + copy) · shards + shard) · experts + expert) · contexts + context) · parts + part.
//
// Processes that compute the same batches are a cell: one of each stage, context and part. Cells that have the experts
// of a copy together are a block: it has the whole model, or in each shard some rows of it.
struct Mesh {
  int stages = 1, copies = 1, shards = 1, experts = 1, contexts = 1, parts = 1;

  int size() const { return stages * cells() * slices(); }
  int blocks() const { return copies * shards; }
  int cells() const { return blocks() * experts; }
  int block_size() const { return stages * experts * slices(); }
  // Processes of a cell and a stage, each with a slice of the tokens.
  int slices() const { return contexts * parts; }
  int cell_of(int rank) const { return rank / slices() % cells(); }
  int block_of(int rank) const { return cell_of(rank) / experts; }
  int stage_of(int rank) const { return rank / (slices() * cells()); }
  int slice_of(int rank) const { return rank % slices(); }
  // Its number within its block: (stage · experts + expert) · slices + slice.
  int number_of(int rank) const { return stage_of(rank) * experts * slices() + rank % (experts * slices()); }
  int rank_of(int block, int number) const;
  // Of each cell, those that speak for it: the one that draws first, and the one that has the loss.
  int first_of(int cell) const { return cell * slices(); }
  int last_of(int cell) const { return ((stages - 1) * cells() + cell) * slices(); }

  // Ranks, in order, of those that are with this one
  std::vector<int> block(int rank) const;                                      // in its block
  std::vector<int> cell(int rank) const;                                       // in its cell
  std::vector<int> experts_with(int rank) const;                               // in its block and its stage
  std::vector<int> slices_with(int rank) const;                                // in its cell and its stage
  std::vector<int> parts_with(int rank) const;                                 // and in its context
  std::vector<int> contexts_with(int rank) const;                              // and with the same part
  std::vector<int> stages_with(int rank) const;                                // of its cell, with the same slice
  std::vector<int> shards_with(int rank) const;                                // of its copy, with the same number
  std::vector<int> copies_with(int rank) const;                                // with the same number and shard
  std::vector<int> copy(int rank) const;                                       // that hold one copy with it
  std::vector<int> with_numbers(const std::vector<int>& numbers) const;        // of all blocks
  std::vector<int> in_block(int rank, const std::vector<int>& numbers) const;  // of its own
};

}  // namespace antiphon::parallel
