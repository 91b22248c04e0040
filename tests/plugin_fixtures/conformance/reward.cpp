#include <antiphon/component/reward.h>

#include "faulty.h"

namespace antiphon::fixture {
namespace reward {
namespace {

enum class Fault { none, infinite, one_short, batch_mean, by_place };

// How many bytes it has.
template <Fault fault>
class Bytes : public Reward {
 public:
  std::vector<double> score(std::span<const WrittenAnswer> answers) override {
    std::vector<double> scores;
    double sum = 0;
    for (const auto& answer : answers) {
      const auto bytes = static_cast<double>(answer.text.size());
      scores.push_back(fault == Fault::infinite ? 1 / bytes : bytes);
      sum += bytes;
    }
    if (fault == Fault::one_short && !scores.empty()) scores.pop_back();
    for (size_t i = 0; i < scores.size(); ++i) {
      if (fault == Fault::batch_mean) scores[i] -= sum / static_cast<double>(scores.size());
      if (fault == Fault::by_place) scores[i] = static_cast<double>(i);
    }
    return scores;
  }
};

}  // namespace
}  // namespace reward

void add_rewards(plugin::Registrar& registrar) {
  using namespace reward;
  register_component<Reward, Bytes<Fault::none>>(registrar, "sound", "");
  register_component<Reward, Bytes<Fault::infinite>>(registrar, "infinite", "of the empty answer");
  register_component<Reward, Bytes<Fault::one_short>>(registrar, "one_short", "nothing of the last answer");
  register_component<Reward, Bytes<Fault::batch_mean>>(registrar, "batch_mean", "less the mean of all");
  register_component<Reward, Bytes<Fault::by_place>>(registrar, "by_place", "of where it stands");
}

}  // namespace antiphon::fixture
