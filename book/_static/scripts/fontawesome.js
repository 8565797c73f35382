// Takes the place of the theme's file of the same name, which draws a dozen icons from 1.5 MB of
// them. The theme's style sheet draws the same ones from a font.
