"""Makes a run's human name, such as `brave-otter-41`, from its id. Pure: the same id gives the same name."""

from __future__ import annotations

_ADJECTIVES = (
    "able agile amber ample apt azure balmy bold brave breezy bright brisk calm candid clear clever cosmic cosy crisp "
    "daring deft eager early easy fair fancy fleet fond fresh frosty gentle glad golden grand happy hardy hazel honest "
    "humble icy jolly keen kind lively loyal lucid lucky lunar mellow merry mighty mild misty neat nimble noble olive "
    "patient placid plucky polite proud quick quiet rapid ready regal robust rosy ruby rustic sage sandy serene sharp "
    "shiny silent silver sleek smart snowy solar solid spry stable steady stellar sunny swift tender tidy tranquil "
    "true upbeat velvet vivid warm wise witty zesty"
).split()
_ANIMALS = (
    "ant badger bat bear beaver bee bison boar buck camel cat cobra condor coyote crab crane cricket crow deer dingo "
    "dolphin dove duck eagle eel egret elk emu falcon ferret finch fox frog gannet gazelle gecko gibbon goat goose "
    "gopher grouse gull hare hawk hedgehog heron hippo hornet horse hound hyena ibex ibis iguana impala jackal jaguar "
    "jay kestrel kite kiwi koala lark lemur leopard lion lizard llama lobster lynx macaw magpie mallard marmot marten "
    "mink mole moose moth mouse mule newt ocelot octopus orca osprey otter owl ox panda panther parrot penguin "
    "pheasant pigeon puffin puma quail rabbit raven robin salmon seal shark shrew skunk sloth snail sparrow squid "
    "stork swan tapir tiger toad trout turtle viper vole walrus weasel whale wolf wombat wren yak zebra"
).split()


def make_name(run_id: str) -> str:
    """Return an adjective, an animal and a number from 1 to 99, chosen by the digits of run_id (32 hex digits)."""
    number = int(run_id, 16)
    number, adjective = divmod(number, len(_ADJECTIVES))
    number, animal = divmod(number, len(_ANIMALS))
    return f"{_ADJECTIVES[adjective]}-{_ANIMALS[animal]}-{number % 99 + 1}"
