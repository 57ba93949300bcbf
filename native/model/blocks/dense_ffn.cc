#include "model/blocks/blocks.h"

namespace moebius {

void dense_ffn(ForwardPass& pass, int64_t layer, const Rows& x, const Rows& y) {
  dense_ffn(pass.op, pass.layer_weights(layer).dense, x, y);
}

}  // namespace moebius
