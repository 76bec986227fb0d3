// arm.h - what a 64-bit ARM can do beyond ARMv8.0, as its operating system tells.
#pragma once

namespace gemlet {

bool arm_has_dotprod();  // FEAT_DotProd: products of signed bytes, or of unsigned ones
bool arm_has_i8mm();     // FEAT_I8MM: products of unsigned by signed bytes, among others

}  // namespace gemlet
