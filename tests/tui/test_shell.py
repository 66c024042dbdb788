"""The app's frame: it opens, connects, shows how the engine is, and leads around."""

from __future__ import annotations


async def test_header_says_how_the_engine_is(double, app_on):
    double.workflow("hello", ["ask", "greet"])
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.pause()
        assert app.headline.connection == "connected"
        double.lose()
        await pilot.pause()
        assert app.headline.connection == "lost"
        double.return_again()
        await pilot.pause()
        assert app.headline.connection == "connected"
