"""The window around the panels: navigation, top bar, log, menus, help, what is kept between starts."""
