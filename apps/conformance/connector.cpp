#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <antiphon/component/connector.h>

#include "network.h"

namespace antiphon::apps::conformance {
namespace {

// A connector that changes no width takes the second.
constexpr ConnectorShape kShapes[] = {{24, 40}, {24, 24}};
constexpr TokenGrid all_grids[] = {{1, 7}, {1, 8}, {4, 4}, {5, 3}, {1, 1}};

struct Tested {
  Connector& connector;
  ConnectorShape shape;  // what it was built for
  std::vector<TokenGrid> grids = {};

  // Of an embedding with what the taps give beside it.
  int64_t width() const { return shape.output_size * (1 + connector.taps()); }
  at::Tensor features(int64_t n, const TokenGrid& grid) const { return made({n, grid.count(), shape.input_size}, 31); }
};

std::string text(const TokenGrid& grid) { return fmt::format("{} x {}", grid.rows, grid.columns); }

// Those that suit the connector; the others it refuses as a mistake of configuration, before forward() is called.
std::vector<TokenGrid> accepted_grids(const Connector& connector) {
  std::vector<TokenGrid> grids;
  std::string refusals;
  for (const auto& grid : all_grids) {
    try {
      const auto out = connector.output_grid(grid);
      expect(out.rows >= 1 && out.columns >= 1, "expected at least one embedding for a grid of {}, got {}", text(grid),
             text(out));
      grids.push_back(grid);
    } catch (const Error& error) {
      expect(error.kind() == ErrorKind::config,
             "expected a grid of {} to be taken or refused with kind 'config', got kind '{}'", text(grid),
             to_string(error.kind()));
      refusals = error.what();
    }
  }
  expect(!grids.empty(), "expected one of the grids 1 x 7, 1 x 8, 4 x 4, 5 x 3, 1 x 1 to be taken, all are refused: {}",
         refusals);
  return grids;
}

// Items of one part each: embeddings [n, tokens, output_size].
at::Tensor embedded(Connector& connector, const at::Tensor& x, const TokenGrid& grid) {
  const auto out = connector.output_grid(grid);
  std::vector<at::Tensor> items;
  for (const auto& part : connector.forward(x, grid).unbind(0))
    items.push_back(connector.assemble({part.view({out.rows, out.columns, -1})}, {}));
  return at::stack(items);
}

void counts_hold(const Tested& tested) {
  c10::AutoGradMode no_grad(false);
  auto& connector = tested.connector;
  for (const auto& grid : tested.grids)
    for (const int64_t n : {1, 2}) {
      const auto y = connector.forward(tested.features(n, grid), grid);
      expect_shape(y, {n, connector.output_grid(grid).count(), tested.width()},
                   fmt::format("an output as output_grid() says for {} part(s) of {},", n, text(grid)));
      expect_shape(embedded(connector, tested.features(n, grid), grid),
                   {n, connector.item_tokens({connector.output_grid(grid)}, {}), tested.width()},
                   fmt::format("items as item_tokens() says for one part of {},", text(grid)));
    }
}

void batch_is_one_by_one(const Tested& tested) {
  c10::AutoGradMode no_grad(false);
  auto& connector = tested.connector;
  for (const auto& grid : tested.grids) {
    const auto x = tested.features(2, grid);
    const auto apart =
        at::cat({connector.forward(x.narrow(0, 0, 1), grid), connector.forward(x.narrow(0, 1, 1), grid)});
    expect_close(connector.forward(x, grid), apart, 1e-4,
                 fmt::format("a batch of two of {} against one by one", text(grid)));
  }
}

// Outside of training no part depends on another.
void all_is_each(const Tested& tested) {
  c10::AutoGradMode no_grad(false);
  const auto& [connector, shape, grids] = tested;
  std::vector<at::Tensor> parts;
  for (const auto& grid : grids) parts.push_back(tested.features(1, grid)[0]);
  const auto arranged = connector.arrange_all(parts, grids);
  expect(arranged.size() == parts.size(), "expected {} parts from arrange_all(), got {}", parts.size(),
         arranged.size());
  for (size_t i = 0; i < parts.size(); ++i)
    expect_close(arranged[i], connector.arrange(parts[i].unsqueeze(0), grids[i])[0], 1e-4,
                 fmt::format("a part of {} among others against alone", text(grids[i])));
}

void passes_gradient(const Tested& tested) {
  const auto& grid = tested.grids.front();
  const auto x = tested.features(1, grid).requires_grad_(true);
  tested.connector.forward(x, grid).sum().backward();
  expect_gradient(x, "the encoder's vectors, so that the encoder can be trained");
}

bool takes(const Subject& subject, const ConnectorShape& widths) {
  try {
    build<Connector>(subject, widths);
    return true;
  } catch (const Error& error) {
    return error.kind() != ErrorKind::config;
  }
}

MakeNetwork networks(const Subject& subject, const Tested& tested) {
  return [&subject, shape = tested.shape, x = tested.features(2, tested.grids.front()),
          grid = tested.grids.front()]() -> Network {
    std::shared_ptr<Connector> fresh = build<Connector>(subject, shape);
    Connector* used = fresh.get();
    return {fresh, &fresh->module(),
            [used, x, grid](at::ScalarType type) { return embedded(*used, x.to(type), grid); }};
  };
}

void check_connector(Report& report, const Subject& subject) {
  const auto shape = kShapes[!takes(subject, kShapes[0]) && takes(subject, kShapes[1])];
  if (!check_options(report, subject, resolver<Connector>(subject, shape))) return;
  const auto connector = build<Connector>(subject, shape);
  if (!check_size(report, subject, connector->module())) return;
  Tested tested{*connector, shape};
  if (!report.check("grids: each is taken or refused by output_grid()",
                    [&] { tested.grids = accepted_grids(*connector); }))
    return;
  start(connector->module(), 1);
  if (!report.check("counting contract: forward() and assemble() give what is announced, batch 1 and 2",
                    [&] { counts_hold(tested); }))
    return;
  report.check("forward: a batch of two is two of one", [&] { batch_is_one_by_one(tested); });
  report.check("forward: arrange_all() of several grids is arrange() of each", [&] { all_is_each(tested); });
  report.check("gradient: reaches the input", [&] { passes_gradient(tested); });
  check_network(report, networks(subject, tested));
}

const KindChecks registered{KindOf<Connector>::name, check_connector};

}  // namespace
}  // namespace antiphon::apps::conformance
