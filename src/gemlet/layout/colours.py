"""Groups → colours that are told apart on white and on black.   (how many → "#rrggbb")

In OKLCH (Ottosson 2020) equal steps look equal: hues go round, and neighbours differ in lightness too, which helps
eyes that see few hues.
"""

import math

NOISE = "#8f969c"
PLAIN = "#2f7fd6"

_FIRST = 255.0  # degrees of hue: blue
_GOLDEN = 137.508  # degrees; never comes round to the same hue
_FEW = 8  # hues that are spread evenly
_LIGHTNESS = (0.62, 0.74, 0.53)
_CHROMA = 0.16


def colours(count: int) -> list[str]:
    """`count` colours, each far from those just before it."""
    step = _GOLDEN if count > _FEW else 360 / max(count, 1)
    return [_hex(_LIGHTNESS[i % len(_LIGHTNESS)], _CHROMA, _FIRST + i * step) for i in range(count)]


def _hex(lightness: float, chroma: float, hue: float) -> str:
    """The colour, or the nearest paler one that a screen has."""
    while True:
        rgb = _linear(lightness, chroma * math.cos(math.radians(hue)), chroma * math.sin(math.radians(hue)))
        if all(-1e-4 <= part <= 1 + 1e-4 for part in rgb) or chroma < 0.01:
            return "#" + "".join(f"{round(255 * _gamma(min(max(part, 0.0), 1.0))):02x}" for part in rgb)
        chroma -= 0.005


def _linear(lightness: float, a: float, b: float) -> tuple[float, float, float]:
    """OKLab → linear sRGB."""
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )


def _gamma(part: float) -> float:
    return 12.92 * part if part <= 0.0031308 else 1.055 * part ** (1 / 2.4) - 0.055
