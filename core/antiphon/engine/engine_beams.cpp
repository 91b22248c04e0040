// Beams of an engine's texts: each is a row of the cache of its own, which shares the blocks of what it has in common
// with the others.
#include <antiphon/engine/engine.h>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>

namespace antiphon::engine {

// A request has their room already; a text that stays borrows it for the answer.
void Engine::begin_beams(Text& text) {
  auto& writing = *text.writing;
  const auto held = std::ssize(text.held), room = writing.left;
  const int64_t blocks =
      text.request ? 0 : blocks_for_text(model_, held, held + room, writing.options) - blocks_of_text(model_, held);
  if (blocks > free_blocks_) {
    text.writing.reset();
    fail(ErrorKind::data,
         fmt::format("{} beams of a text of {} tokens take {} more; {} are free", writing.options.beams(), held,
                     blocks * cache_.block_size(), free_blocks_ * cache_.block_size()),
         "lower generate.num_beams or generate.max_tokens");
  }
  free_blocks_ -= blocks;
  const auto* stops = writing.stops ? &*writing.stops : nullptr;
  writing.beams =
      std::make_unique<Beams>(Beams{BeamSearch(writing.options, writing.seen, writing.stop_ids, room, stops),
                                    {cache_.fork(text.row)},
                                    {},
                                    text.hidden,
                                    blocks});
}

void Engine::write_beams(int64_t number, Text& text, const at::Tensor& logits) {
  auto& beams = *text.writing->beams;
  std::vector<BeamSearch::Step> steps;
  try {
    steps = beams.search.next(logits);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) throw;
    return finish(number, Finish::failed, std::current_exception());
  }
  if (steps.empty()) return finish_beams(number, text);
  fork_beams(beams, steps);
}

// The first that goes on from a beam keeps its row.
void Engine::fork_beams(Beams& beams, const std::vector<BeamSearch::Step>& steps) {
  std::vector<bool> kept(beams.rows.size(), false);
  std::vector<int64_t> rows;
  for (const auto& [parent, id] : steps) {
    rows.push_back(kept[parent] ? cache_.fork(beams.rows[parent]) : beams.rows[parent]);
    kept[parent] = true;
    beams.unread.push_back(id);
  }
  for (size_t i = 0; i < kept.size(); ++i)
    if (!kept[i]) cache_.drop_row(beams.rows[i]);
  beams.rows = std::move(rows);
}

void Engine::finish_beams(int64_t number, Text& text) {
  auto best = std::move(text.writing->beams->search).best();
  finish(number, text.writing->take(std::move(best)));
}

void Engine::drop_beams(Writing& writing) {
  if (!writing.beams) return;
  for (const auto row : writing.beams->rows) cache_.drop_row(row);
  free_blocks_ += writing.beams->blocks;
  writing.beams.reset();
}

}  // namespace antiphon::engine
