// A reward: short answers are worth more, and those that do not end nothing.
#include <antiphon/component/register.h>
#include <antiphon/component/reward.h>
#include <antiphon/plugin/manifest.h>

#include <algorithm>

using namespace antiphon;

class Brevity : public Reward {
 public:
  std::vector<double> score(std::span<const WrittenAnswer> answers) override {
    std::vector<double> scores;
    for (const auto& answer : answers) {
      const auto words = 1 + std::ranges::count(answer.text, ' ');
      scores.push_back(answer.ended ? 1 - std::min(1.0, static_cast<double>(words) / 100) : 0);
    }
    return scores;
  }
};

ANTIPHON_PLUGIN(brevity, "0.1.0") { register_component<Reward, Brevity>(registrar, "brevity", "1 less 0.01 a word"); }
