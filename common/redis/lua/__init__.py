"""The Lua scripts, a module for each service; `common.redis.lua_scripts` names them all, `scripts` says their rules."""
