"""The page's Gradio theme: every Gradio colour and size points at a `--vs-*` variable of assets/live.css.

So there is one palette, in one file, and dark mode is that file's business. Fonts are system stacks: the page
asks no other machine for anything.
"""

from __future__ import annotations

import inspect

import gradio as gr

SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Noto Sans", "sans-serif")
MONO = ("ui-monospace", "SF Mono", "Cascadia Mono", "Menlo", "DejaVu Sans Mono", "monospace")

_COLOURS = {
    "body_background_fill": "bg",
    "body_text_color": "ink",
    "body_text_color_subdued": "soft",
    "background_fill_primary": "bg",
    "background_fill_secondary": "plate",
    "border_color_primary": "line",
    "border_color_accent": "lamp-line",
    "border_color_accent_subdued": "line",
    "color_accent": "lamp-line",
    "color_accent_soft": "plate",
    "link_text_color": "ink",
    "link_text_color_active": "ink",
    "link_text_color_hover": "ink",
    "link_text_color_visited": "ink",
    "block_label_text_color": "ink",
    "block_title_text_color": "ink",
    "block_info_text_color": "soft",
    "input_background_fill": "field",
    "input_background_fill_focus": "field",
    "input_border_color": "line",
    "input_border_color_focus": "ink",
    "input_border_color_hover": "edge",
    "input_placeholder_color": "soft",
    "slider_color": "ink",
    "checkbox_background_color": "field",
    "checkbox_background_color_selected": "ink",
    "checkbox_border_color": "edge",
    "checkbox_border_color_selected": "ink",
    "checkbox_label_background_fill": "field",
    "checkbox_label_background_fill_hover": "field",
    "checkbox_label_background_fill_selected": "lamp",
    "checkbox_label_text_color": "ink",
    "checkbox_label_text_color_selected": "on-lamp",
    "checkbox_label_border_color": "line",
    "checkbox_label_border_color_hover": "edge",
    "checkbox_label_border_color_selected": "lamp",
    "button_primary_background_fill": "lamp",
    "button_primary_background_fill_hover": "lamp-hot",
    "button_primary_text_color": "on-lamp",
    "button_primary_text_color_hover": "on-lamp",
    "button_secondary_background_fill": "field",
    "button_secondary_background_fill_hover": "field",
    "button_secondary_text_color": "ink",
    "button_secondary_text_color_hover": "ink",
    "button_secondary_border_color": "line",
    "button_secondary_border_color_hover": "edge",
    "error_text_color": "alarm",
    "error_border_color": "alarm",
    "error_icon_color": "alarm",
}

_PLAIN = {
    "block_background_fill": "transparent",
    "block_border_width": "0px",
    "block_shadow": "none",
    "block_padding": "0px",
    "block_label_background_fill": "transparent",
    "block_label_border_width": "0px",
    "block_title_text_size": "var(--vs-small)",
    "block_title_text_weight": "600",
    "block_info_text_size": "var(--vs-tiny)",
    "panel_background_fill": "transparent",
    "panel_border_width": "0px",
    "input_shadow": "none",
    "input_shadow_focus": "none",
    "input_border_width": "1px",
    "input_radius": "var(--vs-round)",
    "button_border_width": "1px",
    "checkbox_label_border_width": "1px",
    "checkbox_label_shadow": "none",
    "checkbox_shadow": "none",
    "layout_gap": "var(--vs-3)",
}


def theme() -> gr.themes.Base:
    """Return the theme that hands all looks over to live.css."""
    made = gr.themes.Base(
        font=list(SANS), font_mono=list(MONO), radius_size=gr.themes.sizes.radius_sm, text_size="md"
    )
    values = {name: f"var(--vs-{variable})" for name, variable in _COLOURS.items()} | _PLAIN
    # The same value in the dark: the variables themselves change there. Some settings have no dark twin.
    twins = {f"{name}_dark": value for name, value in values.items()}
    known = inspect.signature(made.set).parameters
    return made.set(**values, **{name: value for name, value in twins.items() if name in known})
