// The mean loss of tokens whose gradient, not its value, is a millionth off in one forward pass of one process: what a
// processor that computes wrongly does. For tests/distributed/verify_test.py.
#include <ATen/ATen.h>

#include <antiphon/component/objective.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

#include <cstdlib>

namespace antiphon::fixture {

struct WaveringOptions {
  int64_t at = 0;
  int64_t rank = 0;
};

const config::Table<WaveringOptions>& wavering_table() {
  static const auto* table =
      new config::Table<WaveringOptions>(config::Table<WaveringOptions>("wavering")
                                             .field("at", &WaveringOptions::at, "which pass, from 1 on; 0: none")
                                             .field("rank", &WaveringOptions::rank, "of which process"));
  return *table;
}

class Wavering : public Objective {
 public:
  explicit Wavering(const WaveringOptions& options) : options_(options) {
    const char* rank = std::getenv("RANK");
    here_ = std::atoll(rank ? rank : "0") == options.rank;
  }
  ObjectiveNeeds needs() const override { return {}; }
  ObjectiveOutput forward(const ObjectiveInput& input) override {
    const auto loss = -input.logp_n.sum() / static_cast<double>(input.totals.tokens);
    if (++passes_ != options_.at || !here_) return {loss, {}};
    return {loss + 1e-6 * (loss - loss.detach()), {}};
  }

 private:
  WaveringOptions options_;
  bool here_ = false;
  int64_t passes_ = 0;
};

}  // namespace antiphon::fixture

ANTIPHON_PLUGIN(wavering, "0.1.0") {
  using namespace antiphon::fixture;
  antiphon::register_component<antiphon::Objective, Wavering>(registrar, "wavering", "wrong once", wavering_table());
}
